#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0

# usage: gl.sh [INPUT [OUTPUT]]
#
# Translates a video file, or the camera, to a window or to the file OUTPUT (.mp4, without sound). Full-size frames stay
# on the GPU.
#
# SOURCE, SINK and ENCODER replace the camera, the window and the H.264 encoder: one or more elements each. The default
# encoder runs on the CPU, after gldownload; docs/gpu.md lists encoders that take frames on the GPU.

set -eu

case ${1:-} in
-h | --help)
    # The comment at the head of this file.
    sed -n '4,/^$/s/^# \{0,1\}//p' "$0"
    exit
    ;;
-*)
    echo "gl.sh: there is no option $1; --help prints the usage" >&2
    exit 2
    ;;
esac

output=${2:-}
if [ $# -gt 0 ]; then
    set -- filesrc location="$1" ! decodebin
else
    # shellcheck disable=SC2086 # SOURCE may be several elements.
    set -- ${SOURCE:-v4l2src}
fi
set -- "$@" ! glupload ! glcolorconvert ! 'video/x-raw(memory:GLMemory),format=RGBA,texture-target=2D' \
    ! glvideoflip video-direction=auto
if [ -n "$output" ]; then
    # shellcheck disable=SC2086 # ENCODER may be several elements.
    exec gst-launch-1.0 -e "$@" ! cycleganfilter max-in-flight=2 ! glcolorconvert \
        ! ${ENCODER:-gldownload ! videoconvert ! video/x-raw,format=I420 ! x264enc pass=quant quantizer=20} ! h264parse ! mp4mux \
        ! filesink location="$output"
fi
# shellcheck disable=SC2086 # SINK may be several elements.
exec gst-launch-1.0 -e "$@" ! cycleganfilter max-in-flight=2 late-frames=hold ! ${SINK:-glimagesink}
