#!/usr/bin/env bash
# Makes a fresh machine ready: system packages, libllama and, with "test", the Python packages of the tests.
#   tools/setup.sh [build|test]
# Every step looks first and does nothing when its result is there. Downloads are kept under
# ${XDG_CACHE_HOME:-~/.cache}/llem, so a second checkout fetches nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-test}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/llem
venv=$PWD/build/venv

say() { printf 'set-up: %s\n' "$*"; }
die() { printf 'set-up: %s\n' "$*" >&2; exit 1; }

# What must be there, how to see it, and the Debian/Ubuntu package that brings it.
needs='
command gcc            gcc
command g++            g++
command cmake          cmake
command ninja          ninja-build
command pkg-config     pkg-config
command objdump        binutils
command git            git
command python3        python3
venv    -              python3-venv
library glib-2.0       libglib2.0-dev
library jansson        libjansson-dev
library yaml-0.1       libyaml-dev
library smartcols      libsmartcols-dev
library zlib           zlib1g-dev
header  boost/math/distributions/students_t.hpp  libboost-math-dev
header  eigen3/Eigen/Dense                       libeigen3-dev
'

# What the tests start for themselves: a Docker daemon, podman, and what images are made of.
test_needs='
command dockerd        docker.io
command docker         docker.io
command iptables       iptables
command busybox        busybox-static
command podman         podman
command newuidmap      uidmap
file    /usr/bin/python3  python3
command localedef      libc-bin
file    /usr/share/i18n/locales/de_DE  locales
'

present() { # KIND NAME
    case $1 in
    command) command -v "$2" >/dev/null ;;
    library) command -v pkg-config >/dev/null && pkg-config --exists "$2" ;;
    file) [ -e "$2" ] ;;
    header) [ -e "/usr/include/$2" ] || [ -e "/usr/local/include/$2" ] ;;
    venv) command -v python3 >/dev/null && python3 -c 'import venv, ensurepip' 2>/dev/null ;;
    esac
}

missing_packages() {
    while read -r kind name package; do
        [ -n "$kind" ] || continue
        present "$kind" "$name" || printf '%s\n' "$package"
    done <<<"$needs"
}

apt() { # ARGUMENT…
    local run=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@")
    if [ "$(id -u)" -ne 0 ]; then
        run=(sudo "${run[@]}")
    fi
    "${run[@]}" </dev/null
}

install_packages() {
    local missing
    mapfile -t missing < <(missing_packages)
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "missing here: ${missing[*]} (names of the Debian packages).
This system has no apt-get: install what these packages hold, then run the command again."
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        die "missing here: ${missing[*]}.
As root: apt-get install --no-install-recommends ${missing[*]}"
    fi
    say "installing ${missing[*]}"
    local log=build/setup-apt.log
    mkdir -p build
    if apt-cache show "${missing[@]}" >/dev/null 2>&1 &&
        apt install --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
        return 0
    fi
    { apt update && apt install --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        die "apt-get failed; the whole log is in $log"
    }
}

make_venv() {
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        die "python3 is $(python3 -V 2>&1); 3.10 or newer is needed"
    "$venv/bin/python" -c 'import pip' 2>/dev/null && return 0
    rm -rf "$venv"
    python3 -m venv "$venv"
}

install_python_packages() {
    local list=tools/requirements-test.txt stamp=$venv/.llem-packages wanted
    wanted=$({ "$venv/bin/python" -V; cat "$list"; } | sha256sum)
    [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ] || return 0
    say "Python packages of the tests into build/venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --cache-dir "$cache/pip" \
        --only-binary :all: --require-hashes -r "$list"
    printf '%s\n' "$wanted" >"$stamp"
}

make_locales() { # with a comma before the fraction, and with a dotless i: build/locales, for LOCPATH
    local name
    mkdir -p build/locales
    for name in de_DE tr_TR; do
        [ -d "build/locales/$name.UTF-8" ] || localedef -i "$name" -f UTF-8 "build/locales/$name.UTF-8"
    done
}

PATH=$PATH:/usr/sbin:/sbin # where daemons are, also for those who are not root
case $what in build) ;; test) needs+=$test_needs ;; *) die "no such set-up: '$what' (build or test)" ;; esac
install_packages
mkdir -p "$cache"
make_venv
export LLEM_PYTHON=$venv/bin/python
if [ -z "${LLEM_LLAMA_PREFIX:-}" ]; then
    tools/setup-llama.sh >/dev/null
fi
if [ "$what" = test ]; then
    install_python_packages
    make_locales
fi
