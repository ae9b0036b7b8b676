# SPDX-License-Identifier: MIT OR Apache-2.0
"""A CycleGAN iteration in Python for comparison: the networks of resnet.rs, fast.rs and patchgan.rs, LSGAN,
cycle and identity losses, image pools, Adam.

Reads lines `NET SIZE BATCH STEPS` and answers each with the seconds per iteration and the peak
memory of the process in MiB.
"""

import itertools
import random
import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


def conv(ins, outs, kernel, stride=1, padding=0):
    return nn.Conv2d(ins, outs, kernel, stride, padding)


def normal(channels):
    return [nn.InstanceNorm2d(channels), nn.ReLU(True)]


class Residual(nn.Module):
    def __init__(self, *body):
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x):
        return x + self.body(x)


def resnet_6blocks(ngf):
    layers = [nn.ReflectionPad2d(3), conv(3, ngf, 7), *normal(ngf)]
    for n in (ngf, ngf * 2):
        layers += [conv(n, n * 2, 3, 2, 1), *normal(n * 2)]
    n = ngf * 4
    for _ in range(6):
        layers.append(Residual(nn.ReflectionPad2d(1), conv(n, n, 3), *normal(n),
                               nn.ReflectionPad2d(1), conv(n, n, 3), nn.InstanceNorm2d(n)))
    for n in (ngf * 4, ngf * 2):
        layers += [nn.ConvTranspose2d(n, n // 2, 3, 2, 1, 1), *normal(n // 2)]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), conv(ngf, 3, 7), nn.Tanh())


def fast(stem, width, blocks):
    layers = [conv(3, stem, 5, 2, 2), nn.ReLU(True), conv(stem, width, 3, 2, 1), nn.ReLU(True)]
    for _ in range(blocks):
        layers.append(Residual(conv(width, width, 3, 1, 1), nn.ReLU(True), conv(width, width, 3, 1, 1)))
    return nn.Sequential(*layers, conv(width, stem * 4, 3, 1, 1), nn.ReLU(True), nn.PixelShuffle(2),
                         conv(stem, 12, 3, 1, 1), nn.PixelShuffle(2), nn.Tanh())


def patchgan(ndf):
    layers = [conv(3, ndf, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    for ins, outs, stride in ((ndf, ndf * 2, 2), (ndf * 2, ndf * 4, 2), (ndf * 4, ndf * 8, 1)):
        layers += [conv(ins, outs, 4, stride, 1), nn.InstanceNorm2d(outs), nn.LeakyReLU(0.2, True)]
    return nn.Sequential(*layers, conv(ndf * 8, 1, 4, 1, 1))


class Pool:
    def __init__(self, size):
        self.size, self.images = size, []

    def query(self, fresh):
        out = []
        for image in fresh.detach():
            if len(self.images) < self.size:
                self.images.append(image)
            elif random.random() > 0.5:
                place = random.randrange(self.size)
                image, self.images[place] = self.images[place], image
            out.append(image)
        return torch.stack(out)


class CycleGan:
    def __init__(self, net):
        make = {"resnet_6blocks": lambda: resnet_6blocks(16), "fast": lambda: fast(32, 64, 6)}[net]
        self.g, self.f, self.d_b, self.d_a = make(), make(), patchgan(64), patchgan(64)
        adam = lambda *nets: torch.optim.Adam(itertools.chain(*(n.parameters() for n in nets)), 2e-4, (0.5, 0.999))
        self.adam_g, self.adam_d = adam(self.g, self.f), adam(self.d_a, self.d_b)
        self.pools = Pool(2), Pool(2)  # full at once; train.rs says why

    def step(self, a, b):
        gan = lambda score, real: F.mse_loss(score, torch.full_like(score, float(real)))
        fake_b, fake_a = self.g(a), self.f(b)
        for p in itertools.chain(self.d_a.parameters(), self.d_b.parameters()):
            p.requires_grad_(False)
        loss = gan(self.d_b(fake_b), True) + gan(self.d_a(fake_a), True)
        loss += 10 * (F.l1_loss(self.f(fake_b), a) + F.l1_loss(self.g(fake_a), b))
        loss += 5 * (F.l1_loss(self.g(b), b) + F.l1_loss(self.f(a), a))
        self.adam_g.zero_grad()
        loss.backward()
        self.adam_g.step()
        for p in itertools.chain(self.d_a.parameters(), self.d_b.parameters()):
            p.requires_grad_(True)
        self.adam_d.zero_grad()
        for d, real, pool, fake in ((self.d_b, b, self.pools[0], fake_b), (self.d_a, a, self.pools[1], fake_a)):
            (0.5 * (gan(d(real), True) + gan(d(pool.query(fake)), False))).backward()
        self.adam_d.step()


def main():
    torch.set_num_threads(int(sys.argv[1]))
    torch.set_default_device(sys.argv[2])
    models = {}
    for line in sys.stdin:
        net, size, batch, steps = line.split()
        size, batch, steps = int(size), int(batch), int(steps)
        model = models.setdefault((net, size), CycleGan(net))
        a, b = torch.rand(2, batch, 3, size, size) * 2 - 1
        begin = time.perf_counter()
        for _ in range(steps):
            model.step(a, b)
        if a.is_cuda:
            torch.cuda.synchronize()
        seconds = (time.perf_counter() - begin) / steps
        print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)


main()
