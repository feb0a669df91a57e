#!/usr/bin/env bash
# Configures and builds one preset of CMakePresets.json: everything, or one target.
#   tools/build.sh PRESET [--target TARGET] [CMAKE ARGUMENT…]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
target=all
if [ "${1:-}" = --target ]; then
    target=$2
    shift 2
fi
arguments=(-DLLEM_WERROR=${LLEM_WERROR:-${LLEM_TEST_STRICT:-OFF}}) # the same from everywhere, or all is compiled again
if [ -x build/venv/bin/python ]; then
    arguments+=("-DPython3_EXECUTABLE=$PWD/build/venv/bin/python")
fi
if command -v ccache >/dev/null; then
    arguments+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
fi
mkdir -p build
log=build/configure-$preset.log
cmake --preset "$preset" "${arguments[@]}" "$@" >"$log" 2>&1 || {
    cat "$log" >&2
    exit 1
}
cmake --build --preset "$preset" --target "$target" -j"$(nproc)"
