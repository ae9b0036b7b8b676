#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0

# For ./dev package: package-deb.sh stage TARGET RUNTIME_DIR
#                    package-deb.sh test TARGET [LIBTORCH_WHEELS]
#
# `stage` puts the files of the package that cargo does not build into TARGET/release/package: ONNX Runtime with its
# licences, man page and shell completions. `test` installs the packages into a fresh Debian 12 and runs them there.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)

stage() {
    local target=$1 runtime_dir=$2 out=$1/release/package shell
    rm -rf -- "$out"
    mkdir -p -- "$out/lib" "$out/onnxruntime" "$out/man"
    cp -- "$runtime_dir"/libonnxruntime.so.* "$out/lib/"
    cp -- "$runtime_dir"/LICENSE "$runtime_dir"/ThirdPartyNotices.txt "$out/onnxruntime/"
    "$target/release/cyclegan-batch" --generate man >"$out/man/cyclegan-batch.1"
    for shell in bash zsh fish; do
        "$target/release/cyclegan-batch" --generate "$shell" >"$out/$shell"
    done
}

# Runs inside the fresh system: installs the packages as a user would, then uses them with no variable set.
# shellcheck disable=SC2016
trial='
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends gstreamer1.0-tools "$1"
    gst-inspect-1.0 cycleganfilter | grep -q "execution-provider"
    gst-launch-1.0 -q videotestsrc num-buffers=3 ! video/x-raw,width=320,height=240 ! cycleganfilter ! \
        filesink location=/tmp/translated.raw
    gst-launch-1.0 -q videotestsrc num-buffers=3 ! video/x-raw,width=320,height=240 ! \
        filesink location=/tmp/plain.raw
    [ "$(stat -c %s /tmp/translated.raw)" = "$(stat -c %s /tmp/plain.raw)" ]
    gst-launch-1.0 -q videotestsrc num-buffers=1 ! video/x-raw,width=64,height=64 ! jpegenc ! \
        filesink location=/tmp/picture.jpg
    cyclegan-batch /tmp/picture.jpg --out /tmp/out
    test -s /tmp/out/picture.jpg
    dpkg -L gstreamer1.0-cyclegan | grep -q /usr/share/man/man1/cyclegan-batch.1
    dpkg -P gstreamer1.0-cyclegan
    if gst-inspect-1.0 --exists cycleganfilter; then exit 1; fi

    [ -n "$2" ] || exit 0
    apt-get install -y -qq --no-install-recommends "$2"
    # The cache of this machine may be shown here.
    if env -u LIBTORCH -u XDG_CACHE_HOME HOME=/nonexistent cyclegan-train --help 2>/tmp/said; then exit 1; fi
    grep -q -- --fetch-libtorch /tmp/said
    [ -z "$3" ] || LIBTORCH=$3/torch cyclegan-train --help >/dev/null
    dpkg -P cyclegan-train
'

# newest FOLDER NAME: the newest package of that name.
newest() { find "$1" -name "$2_*.deb" -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-; }

try() {
    local package trainer binds=(--bind "$1/debian")
    package=$(newest "$1/debian" gstreamer1.0-cyclegan)
    trainer=$(newest "$1/debian" cyclegan-train)
    [[ -z ${2:-} ]] || binds+=(--bind "$2")
    [[ -n $package ]] || {
        echo "package-deb.sh: no package in $1/debian; run ./dev package deb first" >&2
        exit 1
    }
    "$here/chroot.sh" --fresh "${binds[@]}" 12 bash -euc "$trial" trial "$package" "$trainer" "${2:-}"
    echo "$(basename -- "$package") installs, translates and is removed."
    [[ -z $trainer ]] || echo "$(basename -- "$trainer") installs, asks for libtorch and is removed."
}

case ${1:-} in
stage) stage "$2" "$3" ;;
test) try "$2" "${3:-}" ;;
*)
    echo "usage: package-deb.sh stage TARGET RUNTIME_DIR | test TARGET [LIBTORCH_WHEELS]" >&2
    exit 2
    ;;
esac
