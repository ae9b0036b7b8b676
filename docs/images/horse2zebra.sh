#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0

# horse2zebra.sh [OUTPUT]: what the pair does well and badly.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
out=$(realpath -- "${1:-$here/horse2zebra.jpg}")
# shellcheck source=docs/images/cells.sh
source "$here/cells.sh"
cd -- "$work"

for animal in horse donkey zebra; do
    stamp "animals/mammals/equines/$animal.png" >"$animal.png"
done
wallpaper picosdeeuropa_by_Aitzol_Berasategi.jpg | convert - -resize 800x -crop 256x256+150+310 +repage meadow.png
model=horse2zebra background=meadow.png

at 200x +28+70 horse.png && cell brown forward
at 200x +28+70 horse.png -channel RGB -modulate 100,12 +level 45%,100% && cell white forward
at 36x +110+120 horse.png && cell far forward
at 150x +6+70 horse.png && at 150x +86+96 horse.png -flop && cell two forward
at 180x +38+64 donkey.png && cell donkey forward
at 200x +28+64 zebra.png && cell zebra reverse
convert brown.png white.png far.png two.png donkey.png zebra.png +append -quality 85 "$out"
