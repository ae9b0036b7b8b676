# SPDX-License-Identifier: MIT OR Apache-2.0
"""A folder of clips without GStreamer: ffmpeg decodes and encodes, ONNX Runtime translates.

usage: ffmpeg.py CLIPS MODEL OUT

Scales each frame to a short side of 256, translates it, and scales the result back. Audio is copied. The encoder is that of
cyclegan-batch's preset `web`.
"""

import json
import pathlib
import subprocess
import sys

import numpy as np
from generator import Generator, tensor_size


def size_and_rate(clip):
    """Width, height and frames per second of the video."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-of", "json"]
    command += ["-show_entries", "stream=width,height,r_frame_rate", clip]
    video = json.loads(subprocess.check_output(command))["streams"][0]
    return video["width"], video["height"], video["r_frame_rate"]


def translate(generator, clip, out):
    width, height, rate = size_and_rate(clip)
    w, h = tensor_size(width, height)
    ffmpeg = ["ffmpeg", "-v", "error", "-nostdin", "-y"]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24"]
    decoder = subprocess.Popen(
        [*ffmpeg, "-i", clip, "-vf", f"scale={w}:{h}", *raw, "-"], stdout=subprocess.PIPE
    )
    encoder = subprocess.Popen(
        [*ffmpeg, *raw, "-s", f"{w}x{h}", "-r", rate, "-i", "-", "-i", clip]
        + ["-map", "0:v", "-map", "1:a?", "-c:a", "copy", "-vf", f"scale={width}:{height}"]
        + ["-c:v", "libx264", "-preset", "medium", "-crf", "21", "-pix_fmt", "yuv420p"]
        + ["-movflags", "+faststart", out],
        stdin=subprocess.PIPE,
    )
    while frame := decoder.stdout.read(w * h * 3):
        picture = np.frombuffer(frame, np.uint8).reshape(h, w, 3)
        encoder.stdin.write(generator.translate(picture).tobytes())
    encoder.stdin.close()
    if decoder.wait() or encoder.wait():
        sys.exit(f"{clip}: ffmpeg failed")


def main():
    clips, model, out = sys.argv[1:]
    generator = Generator(model)
    for clip in sorted(pathlib.Path(clips).iterdir()):
        translate(generator, clip, pathlib.Path(out) / clip.name)


main()
