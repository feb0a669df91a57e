#!/usr/bin/env bash
# The README's two commands where nothing is installed: in a fresh minimal root of this machine's release (debootstrap),
# once with /sys/fs/cgroup, once without, and once as a user who is not root. Packages that a developer's machine has
# hide missing steps; this does not. Needs root, debootstrap and unshare; some 2 hours for all of it.
#   tools/bare-root.sh [cgroup|plain|user …]     default: all three
# LLEM_BARE_COMMANDS (default "demo test"): the targets of make. LLEM_BARE_BIND: folders that the roots see read-only
# (a mirror on this machine, say). Each root is made anew from build/bare-root/base and removed after a success.
set -euo pipefail
cd "$(dirname "$0")/.."
source=$PWD
work=$PWD/build/bare-root
commands=${LLEM_BARE_COMMANDS:-demo test}
. /etc/os-release

die() { printf 'bare-root: %s\n' "$*" >&2; exit 1; }

[ $# -gt 0 ] || set -- cgroup plain user
[ "$1" = --inside ] || for kind in "$@"; do
    case $kind in cgroup | plain | user) ;; *) die "no such root: '$kind' (cgroup, plain or user)" ;; esac
done
[ "$(id -u)" -eq 0 ] || die "only root may make a root"
command -v debootstrap >/dev/null || die "debootstrap is not here: apt-get install debootstrap"
[ -n "${VERSION_CODENAME:-}" ] || die "/etc/os-release names no release"
[ -z "$(git status --porcelain)" ] || die "a root is given what is committed: commit first"

make_base() { # kept: only what is in it is looked at, never what was added
    [ ! -e "$work/base/.made" ] || return 0
    rm -rf "$work/base"
    mkdir -p "$work"
    debootstrap --variant=minbase "$VERSION_CODENAME" "$work/base" >"$work/debootstrap.log" 2>&1 ||
        { tail -n 5 "$work/debootstrap.log" >&2; die "debootstrap failed; the whole log is in $work/debootstrap.log"; }
    touch "$work/base/.made"
}

# The way to the network, as this machine has it; and git and make, without which nobody has the project.
prepare() { # ROOT KIND
    local root=$1 kind=$2
    rm -rf "$root"
    cp -a --reflink=auto "$work/base" "$root"
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
    rm -f "$root/etc/apt/sources.list"
    cp -a /etc/apt/. "$root/etc/apt/"
    [ ! -e /etc/pip.conf ] || cp -L /etc/pip.conf "$root/etc/"
    for folder in ${LLEM_BARE_BIND:-}; do
        mkdir -p "$root$folder"
    done
    [ "$kind" != user ] || chroot "$root" useradd -m -s /bin/bash someone
}

# What runs in namespaces of its own: the mounts go with it, and so does every process that it leaves behind.
inside() { # ROOT KIND
    local root=$1 kind=$2
    mount --make-rprivate /
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmp "$root/tmp"
    mount -t sysfs -o ro sys "$root/sys"
    [ "$kind" = plain ] || mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
    for folder in ${LLEM_BARE_BIND:-}; do
        mount --bind -o ro "$folder" "$root$folder"
    done
    chroot "$root" apt-get -qq update
    DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get -qq install --no-install-recommends git make ca-certificates
    cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/" # whom this machine trusts
    git clone -q "$source" "$root/tmp/llem"
    if [ "$kind" = user ]; then # who may install nothing: root does that part, once
        chroot "$root" /bin/bash -euc 'cd /tmp/llem && tools/setup.sh test && rm -rf build'
        chroot "$root" chown -R someone /tmp/llem
        exec chroot "$root" su someone -c "cd /tmp/llem && for c in $commands; do make \$c || exit 1; done"
    fi
    exec chroot "$root" /bin/bash -c "cd /tmp/llem && for c in $commands; do make \$c || exit 1; done"
}

if [ "$1" = --inside ]; then
    inside "$2" "$3"
fi
make_base
failed=0
# Of the caller's environment only the way to the network goes along.
mapfile -t kept < <(env | grep -iE '^(https?_proxy|no_proxy|pip_[a-z_]*|LLEM_BARE_[A-Z]*)=')
clean=(env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "${kept[@]}")
for kind in "$@"; do
    root=$work/$kind
    printf '\n== bare root: %s\n' "$kind"
    prepare "$root" "$kind"
    begin=$(date +%s)
    if "${clean[@]}" unshare --mount --pid --fork --kill-child -- "$source/tools/bare-root.sh" --inside "$root" "$kind" \
        </dev/null >"$work/$kind.log" 2>&1; then
        printf 'passed in %s s\n' $(($(date +%s) - begin))
        rm -rf "$root"
    else
        tail -n 20 "$work/$kind.log"
        printf 'FAILED after %s s; the whole log is in %s\n' $(($(date +%s) - begin)) "$work/$kind.log"
        failed=1
    fi
done
exit $failed
