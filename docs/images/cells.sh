# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # The scripts that read this file set `model` and `background`.

# For the scripts beside it: cut-out pictures on a background, and their translations below. The pictures come from Debian
# packages, which are fetched but not installed. Needs imagemagick, and the variables that `./dev env` prints.

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

# stamp FILE: prints a picture of tuxpaint-stamps-default.
stamp() { unpack tuxpaint-stamps-default "tuxpaint/stamps/$1"; }

# wallpaper FILE: prints a picture of lomiri-wallpapers-16.04.
wallpaper() { unpack lomiri-wallpapers-16.04 "backgrounds/$1"; }

# unpack PACKAGE FILE
unpack() (
    cd -- "$work" || exit
    compgen -G "$1_*.deb" >/dev/null || apt-get -qq -o APT::Sandbox::User=root download "$1" >&2
    dpkg-deb --fsys-tarfile "$1"_*.deb | tar -xO "./usr/share/$2"
)

# at SIZE PLACE PICTURE [EFFECT...]: adds a picture to the array `placed`.
placed=()
at() { placed+=('(' "$3" "${@:4}" -resize "$1" ')' -geometry "$2" -composite); }

# cell NAME DIRECTION: puts what is placed on the background, and translates that.
cell() {
    convert "$background" "${placed[@]}" "$work/$1-before.png"
    placed=()
    gst-launch-1.0 -q filesrc "location=$work/$1-before.png" ! pngdec ! videoconvert ! video/x-raw,format=RGB \
        ! cycleganfilter "model=$model" "direction=$2" ! pngenc snapshot=true ! filesink "location=$work/$1-after.png"
    convert "$work/$1-before.png" "$work/$1-after.png" -append "$work/$1.png"
}
