#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0

# usage: picture-in-picture.sh [INPUT]
#
# Shows a video file, or the camera, with its translation in a corner, slightly translucent: the filter passes alpha
# through.
#
# SOURCE and SINK replace the camera and the display: one or more elements each.

set -eu

case ${1:-} in
-h | --help)
    # The comment at the head of this file.
    sed -n '4,/^$/s/^# \{0,1\}//p' "$0"
    exit
    ;;
-*)
    echo "picture-in-picture.sh: there is no option $1; --help prints the usage" >&2
    exit 2
    ;;
esac

if [ $# -gt 0 ]; then
    set -- filesrc location="$1" ! decodebin ! videoconvert ! videoflip video-direction=auto
else
    # shellcheck disable=SC2086 # SOURCE may be several elements.
    set -- ${SOURCE:-v4l2src}
fi
# shellcheck disable=SC2086 # SINK may be several elements.
exec gst-launch-1.0 -e "$@" ! videoconvertscale ! video/x-raw,width=1280,height=720,pixel-aspect-ratio=1/1 \
    ! tee name=frames ! queue ! compositor name=both sink_1::xpos=836 sink_1::ypos=456 \
    ! videoconvert ! ${SINK:-autovideosink} \
    frames. ! queue ! videoconvertscale ! video/x-raw,width=428,height=240 \
    ! alpha alpha=0.8 ! cycleganfilter late-frames=hold ! both.
