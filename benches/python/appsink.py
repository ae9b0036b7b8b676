# SPDX-License-Identifier: MIT OR Apache-2.0
"""A translation without the filter: appsink, numpy, ONNX Runtime, appsrc.

usage: appsink.py MODEL CAPS FRAMES

Scales each frame to a short side of 256, translates it, and scales the result back to CAPS.
Prints the measurements as JSON.
"""

import json
import resource
import sys
import threading
import time

import gi
import numpy as np
from generator import Generator, tensor_size

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import Gst, GstApp  # noqa: E402, F401

WARM_UP = 5


def main():
    model, caps, frames = sys.argv[1:]
    Gst.init(None)
    structure = Gst.Caps.from_string(caps).get_structure(0)
    width, height = tensor_size(structure.get_value("width"), structure.get_value("height"))
    generator = Generator(model)

    small = f"video/x-raw,format=RGB,width={width},height={height},framerate=25/1"
    source = Gst.parse_launch(
        f"videotestsrc num-buffers=1 pattern=smpte75 ! {caps},framerate=25/1"
        f" ! imagefreeze num-buffers={frames} ! videoconvertscale n-threads=2 ! {small}"
        " ! appsink name=out sync=false max-buffers=2"
    )
    target = Gst.parse_launch(
        f"appsrc name=in caps={small} format=time block=true max-buffers=2"
        f" ! videoconvertscale n-threads=2 ! {caps} ! fakesink name=end sync=false"
    )
    times = []
    pad = target.get_by_name("end").get_static_pad("sink")
    pad.add_probe(
        Gst.PadProbeType.BUFFER,
        lambda *_: (times.append(time.perf_counter()), Gst.PadProbeReturn.OK)[1],
    )
    ended = threading.Event()
    bus = target.get_bus()
    threading.Thread(
        target=lambda: (bus.timed_pop_filtered(Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS), ended.set()),
        daemon=True,
    ).start()

    appsink, appsrc = source.get_by_name("out"), target.get_by_name("in")
    target.set_state(Gst.State.PLAYING)
    source.set_state(Gst.State.PLAYING)
    while sample := appsink.pull_sample():
        buffer = sample.get_buffer()
        ok, mapped = buffer.map(Gst.MapFlags.READ)
        stride = (width * 3 + 3) // 4 * 4
        rows = np.frombuffer(mapped.data, np.uint8).reshape(height, stride)
        picture = rows[:, : width * 3].reshape(height, width, 3)
        picture = generator.translate(picture)
        buffer.unmap(mapped)
        padded = np.zeros((height, stride), np.uint8)
        padded[:, : width * 3] = picture.reshape(height, -1)
        translated = Gst.Buffer.new_wrapped(padded.tobytes())
        translated.pts, translated.duration = buffer.pts, buffer.duration
        appsrc.push_buffer(translated)
    appsrc.end_of_stream()
    ended.wait()
    source.set_state(Gst.State.NULL)
    target.set_state(Gst.State.NULL)

    frame_ms = [(b - a) * 1e3 for a, b in zip(times, times[1:])][WARM_UP:]
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"frame_ms": frame_ms, "peak_kib": peak_kib}))


main()
