#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0

# For ./dev cross aarch64, in a Debian 12 on x86-64: builds the plugin and cyclegan-batch for aarch64 with Debian's cross
# compiler and its GStreamer for arm64, and runs the tests of the crates contract and frame under QEMU. Tests that need
# ONNX Runtime run on an aarch64 machine, see .github/workflows/release.yml.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

packages=(
    gcc libc6-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross pkg-config qemu-user-static
    libgstreamer1.0-dev:arm64 libgstreamer-plugins-base1.0-dev:arm64 libgdk-pixbuf-2.0-dev:arm64
    gstreamer1.0-plugins-base:arm64 gstreamer1.0-plugins-good:arm64
)
if ! dpkg-query -W "${packages[@]}" >/dev/null 2>&1; then
    dpkg --add-architecture arm64
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi

export CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=qemu-aarch64-static
export PKG_CONFIG_ALLOW_CROSS=1
export PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig
# The plugin scanner for arm64 cannot run as a separate program.
export GST_REGISTRY_FORK=no GST_REGISTRY=/tmp/registry.bin

# Not the test of allocations, which does not depend on the processor and takes minutes under QEMU.
cargo test --locked --package cyclegan-contract --package cyclegan-frame --lib --test external_data "$@"
cargo build --locked --release --package gst-plugin-cyclegan --package cyclegan-batch --lib --bins
