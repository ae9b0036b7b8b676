#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0

# summer2autumn.sh [OUTPUT]: a wood in summer, and what the pair makes of it, from a freely licensed picture of the Debian
# package lomiri-wallpapers-16.04, which is fetched but not installed. Needs imagemagick, and the variables that
# `./dev env` prints.
set -euo pipefail
out=$(realpath -- "${1:-$(dirname -- "${BASH_SOURCE[0]}")/summer2autumn.jpg}")
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cd -- "$work"

apt-get -qq -o APT::Sandbox::User=root download lomiri-wallpapers-16.04
dpkg-deb --fsys-tarfile lomiri-*.deb | tar -xO ./usr/share/backgrounds/life_by_Aitzol_Berasategi.jpg >wood.jpg
read -r width height < <(identify -format '%w %h\n' wood.jpg)

# part NAME X Y SHARE: a part of the picture, X and Y per cent from its corner and SHARE per cent as large, translated.
part() {
    convert wood.jpg -crop "$((width * $4 / 100))x$((height * $4 / 100))+$((width * $2 / 100))+$((height * $3 / 100))" \
        +repage -resize '384x256!' "$1-before.png"
    gst-launch-1.0 -q filesrc "location=$1-before.png" ! pngdec ! videoconvert ! video/x-raw,format=RGB \
        ! cycleganfilter model=summer2autumn ! pngenc snapshot=true ! filesink "location=$1-after.png"
    convert "$1-before.png" "$1-after.png" -append "$1.png"
}

part near 0 0 50
part brook 30 0 60
part all 0 0 100
convert near.png brook.png all.png +append -quality 85 "$out"
