#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0

# usage: hls.sh [INPUT]
#
# Translates a video file, or the camera, into an HLS stream with a web page in the folder OUT, and serves it at
# http://127.0.0.1:PORT/ unless PORT is 0. All of a file's segments are kept, and served until Ctrl-C; of the camera's
# stream the last ones are.
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
    echo "hls.sh: there is no option $1; --help prints the usage" >&2
    exit 2
    ;;
esac

out=${OUT:-$(mktemp -d)}
port=${PORT:-8080}
mkdir -p "$out"
cat >"$out/index.html" <<'PAGE'
<!doctype html>
<meta charset="utf-8">
<title>cycleganfilter</title>
<style>body { margin: 0; background: black } video { width: 100vw; height: 100vh }</style>
<video src="live.m3u8" autoplay muted controls playsinline></video>
<script>
const video = document.querySelector("video")
video.canPlayType("application/vnd.apple.mpegurl") ||
    document.body.replaceChildren("This browser does not play HLS; give the address of live.m3u8 to VLC or gst-play-1.0.")
// The playlist comes with the first segment.
video.onerror = () => setTimeout(() => video.load(), 1000)
</script>
PAGE

if [ $# -gt 0 ]; then
    is_file=yes
    # hlssink2 of GStreamer 1.22 often hangs at the end of a file.
    sink='mpegtsmux ! hlssink playlist-length=0 max-files=0'
    set -- filesrc location="$1" ! decodebin ! videoconvert ! videoflip video-direction=auto
else
    is_file=no
    sink=hlssink2
    # shellcheck disable=SC2086 # SOURCE may be several elements.
    set -- ${SOURCE:-v4l2src}
fi
stopped=no
if [ "$port" != 0 ]; then
    python3 -m http.server "$port" --bind 127.0.0.1 --directory "$out" >/dev/null 2>&1 &
    server=$!
    sleep 1
    kill -0 "$server" 2>/dev/null || {
        echo "hls.sh: cannot serve at port $port, which may be in use; PORT=8081 takes another one" >&2
        exit 1
    }
    trap 'kill "$server"' EXIT
    # Ctrl-C ends gst-launch-1.0; then the script ends and stops the server.
    trap stopped=yes INT
    echo "http://127.0.0.1:$port/"
fi
# Segments start with key frames: one every two seconds.
# shellcheck disable=SC2086 # `sink` is several elements and properties.
gst-launch-1.0 -e "$@" ! cycleganfilter late-frames=hold ! queue ! videoconvert ! video/x-raw,format=I420 \
    ! x264enc tune=zerolatency speed-preset=veryfast key-int-max=50 ! h264parse \
    ! $sink target-duration=2 location="$out/segment%05d.ts" playlist-location="$out/live.m3u8"
if [ "$port" != 0 ] && [ "$is_file" = yes ] && [ "$stopped" = no ]; then
    echo "The whole video is at http://127.0.0.1:$port/ until Ctrl-C."
    wait "$server" || true
fi
