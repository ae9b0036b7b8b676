#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0

# Shows the translation as a camera that meeting programs can choose; --help has the options.
set -eu

usage() {
    cat <<'HELP'
usage: virtual-camera.sh [OPTION] [INPUT]

Translates the camera, or the video file INPUT, and offers the result as a camera
named cycleganfilter. Choose it in the browser or the meeting program; Ctrl-C ends it.

  --pipewire       through PipeWire, for programs that take cameras from it
  --v4l2 [DEVICE]  through v4l2loopback, for all that read /dev/video*; DEVICE is a
                   loopback device (default: the first)
  --help           print this

With no option: v4l2loopback if it is loaded, PipeWire otherwise.

Variables:
  MODEL            the model: a file, a folder, or the name of a pair (default: horse2zebra)
  SOURCE           elements that stand in for the camera, for example
                   SOURCE='v4l2src device=/dev/video2' (default: v4l2src)
HELP
}

die() {
    echo "virtual-camera.sh: $*" >&2
    exit 1
}

# need ELEMENT REMEDY
need() {
    # --exists would ask for a plugin of GStreamer's own version.
    gst-inspect-1.0 "$1" >/dev/null 2>&1 || die "GStreamer has no element $1 here: $2"
}

# Prints the first device of v4l2loopback, if there is one.
loopback_device() {
    [ -d /sys/module/v4l2loopback ] || return 0
    for device in /sys/devices/virtual/video4linux/video*; do
        [ -e "$device" ] || continue
        echo "/dev/${device##*/}"
        return
    done
}

way='' device=''
while [ $# -gt 0 ]; do
    case $1 in
    --help | -h)
        usage
        exit
        ;;
    --pipewire) way=pipewire ;;
    --v4l2)
        way=v4l2
        case ${2:-} in
        /dev/*)
            device=$2
            shift
            ;;
        esac
        ;;
    -*) die "there is no option $1; --help lists them" ;;
    *) break ;;
    esac
    shift
done
[ $# -le 1 ] || die "one INPUT at most, found $#: $*"
[ $# = 0 ] || [ -f "$1" ] || die "there is no file $1"

command -v gst-inspect-1.0 >/dev/null || die "there is no gst-inspect-1.0 here: install gstreamer1.0-tools"
need cycleganfilter "run eval \"\$(./dev env)\" first, or install gstreamer1.0-cyclegan"
[ -n "$way" ] || { [ -n "$(loopback_device)" ] && way=v4l2; } || way=pipewire

if [ $# = 1 ]; then
    set -- filesrc location="$1" ! decodebin ! videoconvert ! videoflip video-direction=auto
else
    # shellcheck disable=SC2086 # SOURCE may be several elements.
    set -- ${SOURCE:-v4l2src}
fi
# Late frames take the last residual. YUY2 is the format that cameras send and programs expect. The pools of both sinks
# have buffers that upstream elements cannot write to, so identity drops the allocation query.
set -- "$@" ! cycleganfilter model="${MODEL:-horse2zebra}" late-frames=hold ! queue ! videoconvert \
    ! video/x-raw,format=YUY2 ! identity drop-allocation=true

if [ "$way" = v4l2 ]; then
    device=${device:-$(loopback_device)}
    [ -n "$device" ] || die "v4l2loopback is not loaded: install v4l2loopback-dkms, then run" \
        "sudo modprobe v4l2loopback exclusive_caps=1 card_label=cycleganfilter"
    [ -w "$device" ] || die "$device is not there or may not be written to"
    need v4l2sink "install gstreamer1.0-plugins-good"
    set -- "$@" ! v4l2sink device="$device"
else
    need pipewiresink "install gstreamer1.0-pipewire"
    socket=${PIPEWIRE_REMOTE:-pipewire-0}
    case $socket in
    /*) ;;
    *) socket=${PIPEWIRE_RUNTIME_DIR:-${XDG_RUNTIME_DIR:-/run/user/$(id -u)}}/$socket ;;
    esac
    [ -S "$socket" ] || die "PipeWire does not run here, there is no socket $socket:" \
        "run systemctl --user start pipewire, or use --v4l2"
    properties=media.class=Video/Source,media.role=Camera
    set -- "$@" ! pipewiresink mode=provide \
        stream-properties="props,$properties,node.name=cycleganfilter,node.description=cycleganfilter"
fi
exec gst-launch-1.0 -e "$@"
