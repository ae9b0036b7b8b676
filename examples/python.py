#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The element in a Python program: translates a video in one direction, then in the other, and prints its statistics.

usage: python.py VIDEO [SINK]

Needs Python's bindings of GStreamer (Debian: python3-gi, gir1.2-gstreamer-1.0).
"""

import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402


def on_message(_bus, message, filter, loop, errors):
    if message.type == Gst.MessageType.ERROR:
        error, details = message.parse_error()
        # The details say which file it was.
        errors.append(f"error: {error.message}\n{details}")
        loop.quit()
    elif message.type == Gst.MessageType.EOS:
        loop.quit()
    elif message.has_name("cyclegan-stats"):
        stat = message.get_structure().get_value
        print(f"{stat('frames-translated')} frames, {stat('inference-p50-us') / 1000:.1f} ms each, on {stat('provider')}")
        filter.props.direction = "reverse" if filter.props.direction.value_nick == "forward" else "forward"


def main():
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__)
        return
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sink = sys.argv[2] if len(sys.argv) == 3 else "autovideosink"
    Gst.init(None)
    pipeline = Gst.parse_launch(
        "filesrc name=file ! decodebin ! videoconvert ! videoflip video-direction=auto"
        f" ! cycleganfilter name=filter stats-interval=1000 ! videoconvert ! {sink}"
    )
    pipeline.get_by_name("file").props.location = sys.argv[1]
    loop = GLib.MainLoop()
    bus = pipeline.get_bus()
    bus.add_signal_watch()
    errors = []
    bus.connect("message", on_message, pipeline.get_by_name("filter"), loop, errors)
    pipeline.set_state(Gst.State.PLAYING)
    try:
        loop.run()
    finally:
        pipeline.set_state(Gst.State.NULL)
    if errors:
        sys.exit(errors[0])


main()
