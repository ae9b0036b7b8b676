#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0

# rtp-receive.sh: receives H.264 over RTP on PORT, translates it and shows it.
#
# SINK replaces the display: one or more sink elements.
set -eu

# Late frames take the last residual.
# shellcheck disable=SC2086 # SINK may be several elements.
exec gst-launch-1.0 -e udpsrc port="${PORT:-5004}" \
    caps=application/x-rtp,media=video,clock-rate=90000,encoding-name=H264 \
    ! rtpjitterbuffer ! rtph264depay ! h264parse ! avdec_h264 \
    ! cycleganfilter late-frames=hold ! queue ! videoconvert ! ${SINK:-autovideosink}
