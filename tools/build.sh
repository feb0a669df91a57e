#!/usr/bin/env bash
# Configures and builds one preset of CMakePresets.json.
#   tools/build.sh PRESET [CMAKE ARGUMENT…]
# LLEM_LLAMA_PREFIX names a libllama of your own; otherwise the one that tools/setup-llama.sh built is used.
# The sanitizer builds go without it: they are for our code, and the adapter is tested in the release build.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
case $preset in
asan | tsan) prefix= ;;
*) prefix=${LLEM_LLAMA_PREFIX:-$(tools/setup-llama.sh --find || true)} ;;
esac
arguments=("-DLLEM_LLAMA_PREFIX=$prefix")
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
cmake --build --preset "$preset" -j"$(nproc)"
