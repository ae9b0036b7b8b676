# SPDX-License-Identifier: MIT OR Apache-2.0
"""A generator in ONNX Runtime, as the programs that the benchmarks compare with use it."""

import os

import numpy as np
import onnxruntime


def tensor_size(width, height):
    """Width and height of the tensor for a frame, the same as in the filter: 256 on the short side."""
    scale = 256 / min(width, height)
    return [-(-round(side * scale) // 4) * 4 for side in (width, height)]


class Generator:
    """A model on all cores of the CPU."""

    def __init__(self, model):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    def translate(self, picture):
        """Translates an array of height × width × 3 bytes."""
        tensor = (picture.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
        output = self.session.run(None, {self.name: np.ascontiguousarray(tensor)})[0]
        return ((output[0].transpose(1, 2, 0) + 1) * 127.5).clip(0, 255).astype(np.uint8)
