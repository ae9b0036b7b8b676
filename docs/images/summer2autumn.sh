#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0

# summer2autumn.sh [OUTPUT]: parts of a wood in summer, and what the pair makes of them.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
out=$(realpath -- "${1:-$here/summer2autumn.jpg}")
# shellcheck source=docs/images/cells.sh
source "$here/cells.sh"
cd -- "$work"

wallpaper life_by_Aitzol_Berasategi.jpg >wood.jpg
read -r width height < <(identify -format '%w %h\n' wood.jpg)
model=summer2autumn

# part NAME X Y SHARE: a part of the picture, X and Y per cent from its corner and SHARE per cent as large, translated.
part() {
    convert wood.jpg -crop "$((width * $4 / 100))x$((height * $4 / 100))+$((width * $2 / 100))+$((height * $3 / 100))" \
        +repage -resize '384x256!' part.png
    background=part.png cell "$1" forward
}

part near 0 0 50
part brook 30 0 60
part all 0 0 100
convert near.png brook.png all.png +append -quality 85 "$out"
