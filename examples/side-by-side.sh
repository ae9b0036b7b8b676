#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0

# usage: side-by-side.sh [INPUT]
#
# Shows a video file, or the camera, beside its translation.
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
    echo "side-by-side.sh: there is no option $1; --help prints the usage" >&2
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
exec gst-launch-1.0 -e "$@" ! videoconvertscale ! video/x-raw,width=640,height=360,pixel-aspect-ratio=1/1 \
    ! tee name=frames ! queue ! compositor name=both sink_1::xpos=640 ! videoconvert ! ${SINK:-autovideosink} \
    frames. ! queue ! cycleganfilter late-frames=hold ! both.
