#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0

# /usr/bin/cyclegan-train of the Debian package: runs the trainer with libtorch, which is too large for the package.
# `cyclegan-train --fetch-libtorch` downloads it once; LIBTORCH names another one.
set -eu

# CYCLEGAN_TRAIN_PREFIX moves the package's files for a test.
prefix=${CYCLEGAN_TRAIN_PREFIX:-/usr}
requirements=$prefix/share/cyclegan/libtorch.txt
version=$(sed -n 's/^torch==\([^ ]*\).*/\1/p' "$requirements")
fetched=${XDG_CACHE_HOME:-$HOME/.cache}/cycleganfilter/libtorch-$version
libtorch=${LIBTORCH:-$fetched/torch}

fetch() {
    work=$fetched.$$
    trap 'rm -rf -- "$work"' EXIT
    echo "Downloading libtorch $version (about 520 MB) to $fetched" >&2
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --require-hashes \
        --only-binary :all: --python-version 3.11 --platform manylinux_2_17_x86_64 --platform manylinux_2_25_x86_64 \
        --platform manylinux_2_28_x86_64 --target "$work" --requirement "$requirements" >&2 || {
        echo "cyclegan-train: pip could not download libtorch; install python3-pip, or set LIBTORCH to the folder" \
            "of a libtorch $version" >&2
        exit 1
    }
    # If two downloads ran at once, the first one wins.
    mv -T -- "$work" "$fetched" 2>/dev/null || [ -d "$fetched/torch" ]
}

if [ "${1:-}" = --fetch-libtorch ]; then
    [ -d "$fetched/torch" ] || fetch
    exit
fi
if ! [ -e "$libtorch/lib/libtorch_cpu.so" ]; then
    echo "cyclegan-train: found no libtorch in $libtorch, expected version $version; run" \
        "\`cyclegan-train --fetch-libtorch\` (about 520 MB), or set LIBTORCH to the folder of one" >&2
    exit 1
fi
# That of the package gstreamer1.0-cyclegan, for exporting and scoring.
if [ -z "${ORT_DYLIB_PATH:-}" ]; then
    for runtime in "$prefix"/lib/*/cyclegan/libonnxruntime.so.*; do
        [ ! -e "$runtime" ] || export ORT_DYLIB_PATH="$runtime"
    done
fi
export LIBTORCH="$libtorch" LD_LIBRARY_PATH="$libtorch/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
exec "$prefix/lib/cyclegan/cyclegan-train" "$@"
