#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds libllama for the llama.cpp adapter, once, and prints its prefix (include/, lib/, LICENSE, manifest.json).
#
#   tools/setup-llama.sh            build if it is not there yet, print the prefix
#   tools/setup-llama.sh --find     print the prefix if it is there, else exit 1; builds nothing
#   tools/setup-llama.sh --cuda     the same with the CUDA backend (needs nvcc on PATH or in CUDA_HOME, and cuBLAS);
#                                   LLEM_CUDA_ARCHITECTURES=90 builds for that GPU where none is present
#   tools/setup-llama.sh --portable for another CPU than this one's (no -march=native)
#
# What plain --find finds is used by the build of llem; the others by
# -DLLEM_LLAMA_PREFIX=$(tools/setup-llama.sh --cuda).
#
# The source is the llama.cpp tree inside one pinned sdist, fetched with pip. Only libllama and ggml are compiled,
# with the compiler found here. Like llem-worker they need nothing but a C library and start where glibc is 2.34: the
# engine runs inside images that hold neither this machine's libstdc++ nor its glibc.
#
# Everything lies under ${XDG_CACHE_HOME:-~/.cache}/llem; a second run does nothing.
# A libllama of your own is used instead with -DLLEM_LLAMA_PREFIX=PREFIX (or that environment variable).
set -euo pipefail

package=llama-cpp-python
version=0.3.36
sdist=llama_cpp_python-$version.tar.gz
sdist_sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e

here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/llem
python=${LLEM_PYTHON:-python3}

say() { printf 'setup-llama: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

find_only=no cuda=OFF native=ON
for arg; do
    case $arg in
        --find) find_only=yes ;;
        --cuda) cuda=ON ;;
        --portable) native=OFF ;;
        -h | --help) sed -n '3,20s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) die "unknown option $arg (try --help)" ;;
    esac
done

# A build belongs to its source, options, architecture, compiler and, when native, to this CPU's instructions.
cpu=any
[ $native = OFF ] || cpu=$(grep -m1 -E '^(flags|Features)' /proc/cpuinfo 2>/dev/null || uname -p)
compiler=$({ ${CXX:-c++} --version 2>/dev/null || echo none; } | head -n 1)
architectures=${LLEM_CUDA_ARCHITECTURES:-native}
backend=cuda=$cuda
[ $cuda = OFF ] || backend+=:$architectures
stand_ins=$here/../src/worker/glibc.c
linked=static:1 # raise the number when what is linked into the libraries changes
key=$(printf '%s\n' "$sdist_sha256" "$backend" "native=$native" "$(uname -m)" "$compiler" "$cpu" \
    "$linked" | sha256sum | cut -c1-12)
prefix=$cache/llama-$version-$key

if [ -f "$prefix/manifest.json" ]; then
    printf '%s\n' "$prefix"
    exit 0
fi
[ $find_only = no ] || exit 1

missing=
for tool in "$python" cmake ninja "${CC:-cc}" "${CXX:-c++}" tar sha256sum flock; do
    command -v "$tool" >/dev/null || missing+=" $tool"
done
[ -z "$missing" ] || die "not found:$missing. Debian and Ubuntu: apt-get install python3-pip cmake ninja-build gcc g++"
"$python" -m pip --version >/dev/null 2>&1 || die "$python has no pip. Debian and Ubuntu: apt-get install python3-pip"
if [ $cuda = ON ]; then
    [ -z "${CUDA_HOME:-}" ] || PATH=$CUDA_HOME/bin:$PATH
    command -v nvcc >/dev/null || die "--cuda needs nvcc: install the CUDA toolkit, put nvcc on PATH or set CUDA_HOME"
fi

mkdir -p "$cache/downloads"
exec 9>"$cache/.setup-llama.lock"
flock -n 9 || { say "another set-up is running; waiting for it"; flock 9; }
if [ -f "$prefix/manifest.json" ]; then
    printf '%s\n' "$prefix"
    exit 0
fi

work=$(mktemp -d "$cache/.build-llama.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

has_sum() { [ -f "$1" ] && printf '%s  %s\n' "$sdist_sha256" "$1" | sha256sum --check --status; }
if ! has_sum "$cache/downloads/$sdist"; then
    say "fetching $package $version (77 MB)"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary "$package" \
        --dest "$work" "$package==$version" >&2 || die "pip could not fetch $package==$version (see above)"
    has_sum "$work/$sdist" || die "$sdist does not have the pinned SHA-256 $sdist_sha256"
    mv -f "$work/$sdist" "$cache/downloads/$sdist"
fi

tar xzf "$cache/downloads/$sdist" -C "$work" --wildcards "${sdist%.tar.gz}/vendor/llama.cpp/*"
source=$work/${sdist%.tar.gz}/vendor/llama.cpp
rm -f "$source/.git" # points nowhere outside the sdist
export GIT_CEILING_DIRECTORIES=$work # so that no checkout around the cache lends its commit to the build

say "building libllama, about 2 minutes on two idle cores (log: $cache/setup-llama.log)"
"${CC:-cc}" -std=c17 -D_GNU_SOURCE -O2 -fPIC -c "$stand_ins" -o "$work/glibc.o" || die "$stand_ins cannot be compiled"
options=(-DCMAKE_SHARED_LINKER_FLAGS="$work/glibc.o -static-libstdc++ -static-libgcc -Wl,--exclude-libs,ALL")
[ $cuda = OFF ] || options+=(-DCMAKE_CUDA_ARCHITECTURES="$architectures")
{
    cmake -S "$source" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON \
        -DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
        -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_NUMBER=0 \
        -DLLAMA_BUILD_COMMIT="sdist-$version" -DGGML_OPENMP=OFF -DGGML_CCACHE=OFF -DGGML_NATIVE=$native \
        -DGGML_CUDA=$cuda -DCMAKE_INSTALL_PREFIX="$work/out" -DCMAKE_INSTALL_LIBDIR=lib \
        -DCMAKE_INSTALL_RPATH='$ORIGIN' "${options[@]}" &&
        cmake --build "$work/build" --target llama --parallel "${LLEM_BUILD_JOBS:-$(nproc)}" &&
        cmake --install "$work/build"
} >"$cache/setup-llama.log" 2>&1 || { tail -n 20 "$cache/setup-llama.log" >&2; die "the build failed"; }
rm -rf "$work/out/lib/pkgconfig" # names the temporary prefix
cp "$source/LICENSE" "$work/out/LICENSE"

"${CC:-cc}" -o "$work/probe" "$here/../engines/llamacpp/abi_probe.c" -I"$work/out/include" -L"$work/out/lib" \
    -lllama -lggml -lggml-base -Wl,-rpath,"$work/out/lib" >>"$cache/setup-llama.log" 2>&1 ||
    die "a program cannot be linked against the new libllama (log: $cache/setup-llama.log)"
abi=$("$work/probe")
{
    printf '{\n  "schema": "llem-llama-manifest/1",\n'
    printf '  "package": "%s",\n  "package_version": "%s",\n' "$package" "$version"
    printf '  "package_sha256": "%s",\n  "compiler": "%s",\n' "$sdist_sha256" "${compiler//\"/}"
    printf '  "native": %s,\n  "cuda": %s,\n' "$([ $native = ON ] && echo true || echo false)" \
        "$([ $cuda = ON ] && echo true || echo false)"
    printf '  "abi": %s,\n  "libraries": {' "$abi"
    separator=
    for library in "$work"/out/lib/lib*.so; do
        printf '%s\n    "%s": "%s"' "$separator" "$(basename "$library")" "$(sha256sum "$library" | cut -d' ' -f1)"
        separator=,
    done
    printf '\n  }\n}\n'
} >"$work/out/manifest.json"

rm -rf "$prefix"
mv "$work/out" "$prefix"
say "built $(sed -n 's/.*"llama_version": "\([^"]*\)".*/llama.cpp \1/p' "$prefix/manifest.json")"
printf '%s\n' "$prefix"
