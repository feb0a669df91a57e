#!/usr/bin/env bash
# Configures and builds one preset of CMakePresets.json.
#   tools/build.sh PRESET [CMAKE ARGUMENT…]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
arguments=("-DPython3_EXECUTABLE=$PWD/build/venv/bin/python")
if command -v ccache >/dev/null; then
    arguments+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
fi
cmake --preset "$preset" "${arguments[@]}" "$@" >"build/configure-$preset.log" 2>&1 || {
    cat "build/configure-$preset.log" >&2
    exit 1
}
cmake --build --preset "$preset" -j"$(nproc)"
