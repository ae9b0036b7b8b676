#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0

# usage: rtp-receive.sh
#
# Receives H.264 over RTP on PORT, translates it and shows it.
#
# SINK replaces the display: one or more sink elements.

set -eu

case ${1:-} in
-h | --help)
    # The comment at the head of this file.
    sed -n '4,/^$/s/^# \{0,1\}//p' "$0"
    exit
    ;;
?*)
    echo "rtp-receive.sh: expected no argument, found $1; --help prints the usage" >&2
    exit 2
    ;;
esac

# Late frames take the last residual.
# shellcheck disable=SC2086 # SINK may be several elements.
exec gst-launch-1.0 -e udpsrc port="${PORT:-5004}" \
    caps=application/x-rtp,media=video,clock-rate=90000,encoding-name=H264 \
    ! rtpjitterbuffer ! rtph264depay ! h264parse ! avdec_h264 \
    ! cycleganfilter late-frames=hold ! queue ! videoconvert ! ${SINK:-autovideosink}
