#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0

# apple2orange.sh [OUTPUT]: what the pair does well and badly.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
out=$(realpath -- "${1:-$here/apple2orange.jpg}")
# shellcheck source=docs/images/cells.sh
source "$here/cells.sh"
cd -- "$work"

for fruit in apple_fuji apple_red apple_green mandarine sliced_orange pomegranate; do
    stamp "food/fruit/$fruit.png" >"$fruit.png"
done
wallpaper picosdeeuropa_by_Aitzol_Berasategi.jpg | convert - -resize 800x -crop 256x256+150+310 +repage meadow.png
model=apple2orange background=meadow.png

at 150x +53+60 apple_fuji.png && cell fuji forward
at 150x +53+60 apple_green.png && cell green forward
at 90x +14+50 apple_red.png && at 90x +150+60 apple_green.png && at 90x +84+130 apple_fuji.png && cell three forward
at 150x +53+60 pomegranate.png && cell pomegranate forward
at 150x +53+60 mandarine.png && cell mandarine reverse
at 150x +53+60 sliced_orange.png && cell sliced reverse
convert fuji.png green.png three.png pomegranate.png mandarine.png sliced.png +append -quality 85 "$out"
