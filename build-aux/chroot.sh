#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0

# Runs a command in a minimal Debian or Ubuntu of another release:
#
#   chroot.sh [--fresh | --name NAME] [--bind DIR]... RELEASE COMMAND...
#
# RELEASE is 12 or 13 for Debian, 22.04 or 24.04 for Ubuntu. The system is created once with debootstrap and kept in the
# cache. Debian is fetched from DEBIAN_MIRROR, by default the mirror that apt uses here, and Ubuntu from UBUNTU_MIRROR, by
# default the folder ubuntu beside that of Debian. --fresh works on a copy that is removed afterwards, --name on a copy that is kept
# under NAME. Each --bind mounts a folder of this machine at the same path. Needs root; mounts end with the command.
set -euo pipefail

die() {
    printf 'chroot.sh: %s\n' "$*" >&2
    exit 1
}

fresh='' name='' binds=()
while [[ ${1:-} == --* ]]; do
    case $1 in
    --fresh) fresh=1 ;;
    --name)
        name=$2
        shift
        ;;
    --bind)
        binds+=("$2")
        shift
        ;;
    *) die "no such option: $1" ;;
    esac
    shift
done
(($# >= 2)) || die "usage: chroot.sh [--fresh | --name NAME] [--bind DIR]... RELEASE COMMAND..."
case $1 in
12) system=debian suite=bookworm ;;
13) system=debian suite=trixie ;;
22.04) system=ubuntu suite=jammy ;;
24.04) system=ubuntu suite=noble ;;
*) die "RELEASE is '$1', but must be 12, 13, 22.04 or 24.04" ;;
esac
shift
[[ $(id -u) == 0 ]] || die "this needs root"
command -v debootstrap >/dev/null || die "install debootstrap first"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/cycleganfilter
base=$cache/chroot-$suite
if [[ ! -d $base ]]; then
    # shellcheck disable=SC2016
    mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(SITE)' | head -n 1)}
    options=(--variant=minbase) script=()
    if [[ $system == ubuntu ]]; then
        mirror=${UBUNTU_MIRROR:-$(sed -E 's#debian/*$#ubuntu#' <<<"$mirror")}
        options+=("--components=main,universe")
        # The script of all its releases: this debootstrap may not know the newest by name.
        script=(/usr/share/debootstrap/scripts/gutsy)
    fi
    [[ -n $mirror ]] || die "apt knows no mirror here; set ${system^^}_MIRROR"
    mkdir -p -- "$cache"
    work=$(mktemp -d -- "$base.XXXXXX")
    trap 'rm -rf -- "$work"' EXIT
    debootstrap "${options[@]}" "$suite" "$work" "$mirror" "${script[@]}" >&2
    chmod 755 "$work"
    mv -T -- "$work" "$base"
    trap - EXIT
fi

root=$base
if [[ -n $name ]]; then
    root=$base-$name
    if [[ ! -d $root ]]; then
        cp -a --reflink=auto -- "$base" "$root.$$"
        mv -T -- "$root.$$" "$root"
    fi
elif [[ -n $fresh ]]; then
    root=$(mktemp -d)
    trap 'rm -rf -- "$root"' EXIT
    cp -a --reflink=auto -- "$base/." "$root/"
fi
cp -L /etc/resolv.conf "$root/etc/resolv.conf"

# The mounts are in a separate namespace and end with it, also if this script is killed.
# shellcheck disable=SC2016
unshare --mount bash -euc '
    root=$1 count=$2
    shift 2
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    for ((i = 0; i < count; i++)); do
        mkdir -p -- "$root$1"
        mount --rbind -- "$1" "$root$1"
        shift
    done
    exec chroot "$root" "$@"
' chroot.sh "$root" "${#binds[@]}" "${binds[@]}" "$@"
