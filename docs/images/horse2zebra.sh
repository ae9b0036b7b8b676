#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0

# horse2zebra.sh [OUTPUT]: what the pair does well and badly, on freely licensed pictures out of the Debian packages
# tuxpaint-stamps-default and lomiri-wallpapers-16.04, which are fetched but not installed. Needs imagemagick, and the
# variables that `./dev env` prints.
set -euo pipefail
out=$(realpath -- "${1:-$(dirname -- "${BASH_SOURCE[0]}")/horse2zebra.jpg}")
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cd -- "$work"

apt-get -qq -o APT::Sandbox::User=root download tuxpaint-stamps-default lomiri-wallpapers-16.04
unpack() { dpkg-deb --fsys-tarfile "$1" | tar -xO "./usr/share/$2"; }
for animal in horse donkey zebra; do
    unpack tuxpaint-*.deb "tuxpaint/stamps/animals/mammals/equines/$animal.png" >"$animal.png"
done
unpack lomiri-*.deb backgrounds/picosdeeuropa_by_Aitzol_Berasategi.jpg |
    convert - -resize 800x -crop 256x256+150+310 +repage meadow.png

# cell NAME DIRECTION PLACED_ANIMAL...: puts animals, as convert understands them, on the meadow and translates that.
cell() {
    local name=$1 direction=$2
    shift 2
    convert meadow.png "$@" "$name-before.png"
    gst-launch-1.0 -q filesrc "location=$name-before.png" ! pngdec ! videoconvert ! video/x-raw,format=RGB \
        ! cycleganfilter "direction=$direction" ! pngenc snapshot=true ! filesink "location=$name-after.png"
    convert "$name-before.png" "$name-after.png" -append "$name.png"
}

# at SIZE PLACE PICTURE [EFFECT...]: fills the array `placed` with one animal.
at() { placed+=('(' "$3" "${@:4}" -resize "$1" ')' -geometry "$2" -composite); }

placed=() && at 200x +28+70 horse.png && cell brown forward "${placed[@]}"
placed=() && at 200x +28+70 horse.png -channel RGB -modulate 100,12 +level 45%,100% && cell white forward "${placed[@]}"
placed=() && at 36x +110+120 horse.png && cell far forward "${placed[@]}"
placed=() && at 150x +6+70 horse.png && at 150x +86+96 horse.png -flop && cell two forward "${placed[@]}"
placed=() && at 180x +38+64 donkey.png && cell donkey forward "${placed[@]}"
placed=() && at 200x +28+64 zebra.png && cell zebra reverse "${placed[@]}"
convert brown.png white.png far.png two.png donkey.png zebra.png +append -quality 85 "$out"
