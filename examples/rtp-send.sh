#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0

# usage: rtp-send.sh [INPUT]
#
# Sends a video file, or the camera, as H.264 over RTP to HOST, port PORT.
#
# SOURCE replaces the camera: one or more source elements.

set -eu

case ${1:-} in
-h | --help)
    # The comment at the head of this file.
    sed -n '4,/^$/s/^# \{0,1\}//p' "$0"
    exit
    ;;
-*)
    echo "rtp-send.sh: there is no option $1; --help prints the usage" >&2
    exit 2
    ;;
esac

if [ $# -gt 0 ]; then
    set -- filesrc location="$1" ! decodebin ! videoconvert ! videoflip video-direction=auto
else
    # shellcheck disable=SC2086 # SOURCE may be several elements.
    set -- ${SOURCE:-v4l2src}
fi
# A key frame every second, with SPS and PPS, lets receivers join at any time.
exec gst-launch-1.0 -e "$@" ! videoconvert ! video/x-raw,format=I420 ! x264enc tune=zerolatency speed-preset=veryfast key-int-max=25 \
    ! rtph264pay config-interval=-1 ! udpsink host="${HOST:-127.0.0.1}" port="${PORT:-5004}"
