#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0

# For meson: cargo-build.sh CARGO MANIFEST TARGET_DIR PROFILE PACKAGE OUTPUT [FEATURES]
# builds a package of the workspace and copies the result to OUTPUT. CARGO_TARGET_DIR overrides TARGET_DIR.
set -eu

cargo=$1 manifest=$2 target=${CARGO_TARGET_DIR:-$3} profile=$4 package=$5 output=$6 features=${7:-}

"$cargo" build --locked --manifest-path "$manifest" --target-dir "$target" --profile "$profile" --package "$package" \
    --features "$features"
case $profile in
dev) folder=debug ;;
*) folder=$profile ;;
esac
# Like cargo, leaves a file that is up to date untouched.
cp -p "$target/$folder/$(basename "$output")" "$output"
