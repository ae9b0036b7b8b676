#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0

# another-pair.sh [OUTPUT]: what the two pairs of docs/another-pair.md generate. They are not shipped: train them as that page
# says, and put dog2cat and football2basketball into CYCLEGAN_MODEL_PATH.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
out=$(realpath -- "${1:-$here/another-pair.jpg}")
# shellcheck source=docs/images/cells.sh
source "$here/cells.sh"
cd -- "$work"

stamp animals/mammals/dogs/dog.png >dog.png
stamp sports/basketball.png >basketball.png
wallpaper picosdeeuropa_by_Aitzol_Berasategi.jpg | convert - -resize 800x -crop 256x256+150+310 +repage meadow.png
background=meadow.png

model=dog2cat
at 190x +33+40 dog.png && cell dog forward
model=football2basketball
at 150x +53+60 basketball.png -modulate 120,0 -brightness-contrast 35x0 && cell ball forward
at 150x +53+60 basketball.png && cell basketball reverse
convert dog.png ball.png basketball.png +append -quality 85 "$out"
