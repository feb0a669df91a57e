"""tools/setup.sh on machines that lack something or nothing: every program it could change the machine with is a
stand-in on a PATH of its own that notes how it was called. Nothing is installed or fetched."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What the scripts need of the machine itself; all else they look for is a stand-in or not there.
REAL = "bash sh env dirname cat cut grep head tail mkdir mktemp mv rm cp chmod sed sha256sum tar uname flock".split()
NOTE = '#!/bin/sh\necho "$(basename "$0") $*" >> "$CALLS"\n'
PYTHON = NOTE.replace("echo", '[ "$1" = -c ] || [ "$1" = -V ] || echo') + """
case "$1 $2" in
"-m venv") mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
"-m pip") [ "$3" != download ] ;;
esac
"""
APT_GET = NOTE + """
for package; do :; done
case $package in ninja-build) cp "$MACHINE/gcc" "$MACHINE/ninja" ;; esac
"""
SUDO = NOTE + 'exec "$@"\n'


class Machine:
    """A checkout and a PATH; run() runs the set-up there."""

    def __init__(self, folder):
        self.folder, self.bin, self.calls_file = folder, folder / "bin", folder / "calls"
        self.bin.mkdir()
        for name in (*REAL, "basename"):
            (self.bin / name).symlink_to(shutil.which(name))
        for name in "gcc g++ cc c++ cmake ninja objdump git dockerd docker iptables busybox podman newuidmap".split():
            self.put(name, "#!/bin/sh\necho stand-in 1.0\n")
        for name, text in {"python3": PYTHON, "apt-get": APT_GET, "apt-cache": NOTE, "dpkg": NOTE, "curl": NOTE,
                           "wget": NOTE, "sudo": SUDO, "pkg-config": "#!/bin/sh\n", "localedef": "#!/bin/sh\n"}.items():
            self.put(name, text)
        self.user(0)
        (folder / "tools").mkdir()
        for name in ("setup.sh", "setup-llama.sh", "requirements-test.txt"):
            shutil.copy(ROOT / "tools" / name, folder / "tools" / name)
        (folder / "src" / "worker").mkdir(parents=True)
        shutil.copy(ROOT / "src" / "worker" / "glibc.c", folder / "src" / "worker" / "glibc.c")
        self.env = {"PATH": str(self.bin), "HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "cache"),
                    "CALLS": str(self.calls_file), "MACHINE": str(self.bin), "LC_ALL": "C.UTF-8"}

    def put(self, name, text):
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def lacks(self, *names):
        for name in names:
            (self.bin / name).unlink()

    def user(self, number):
        self.put("id", f"#!/bin/sh\necho {number}\n")

    def have_libllama(self):
        """The folder a finished build would be in, by the script's own trace."""
        trace = subprocess.run([self.bin / "bash", "-x", self.folder / "tools" / "setup-llama.sh", "--find"],
                               env=self.env, capture_output=True, text=True)
        prefix = Path(re.search(r"^\+ prefix=(.+)$", trace.stderr, re.M).group(1))
        assert trace.returncode == 1 and prefix.is_relative_to(self.folder)
        prefix.mkdir(parents=True)
        (prefix / "manifest.json").write_text("{}")
        return prefix

    def run(self, *arguments):
        self.calls_file.write_text("")
        return subprocess.run([self.folder / "tools" / "setup.sh", *arguments], env=self.env, capture_output=True,
                              text=True, timeout=60)

    def calls(self):
        return self.calls_file.read_text().splitlines()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def tree(folder):
    return {p: (p.lstat().st_mtime_ns, p.lstat().st_ino) for p in folder.rglob("*")}


@pytest.mark.parametrize("what", ["build", "test"])
def test_a_second_run_does_nothing(machine, what):
    machine.have_libllama()
    first = machine.run(what)
    assert first.returncode == 0, first.stderr
    assert [c for c in machine.calls() if "-m venv" in c]
    assert any("pip install" in c for c in machine.calls()) == (what == "test")
    before = tree(machine.folder)
    second = machine.run(what)
    assert second.returncode == 0, second.stderr
    assert machine.calls() == []
    assert (second.stdout, second.stderr) == ("", "")
    after = tree(machine.folder)
    assert [p for p in after if after[p] != before.get(p) and p != machine.calls_file] == []


def test_what_is_gone_is_made_again(machine):
    """The stand-ins would notice: each result that is taken away brings its own step back, and no other."""
    prefix = machine.have_libllama()
    assert machine.run("test").returncode == 0
    with open(machine.folder / "tools" / "requirements-test.txt", "a") as file:
        file.write("# another list\n")
    assert machine.run("test").returncode == 0
    assert len(machine.calls()) == 1 and "pip install" in machine.calls()[0]
    (prefix / "manifest.json").unlink()
    done = machine.run("test")  # the stand-in of pip fetches nothing
    assert done.returncode == 1 and "pip could not fetch llama-cpp-python" in done.stderr
    assert not any("venv " in c or "pip install" in c for c in machine.calls())


def test_a_system_without_apt_gets_the_list(machine):
    machine.lacks("apt-get", "apt-cache", "dpkg", "ninja", "objdump")
    done = machine.run("build")
    assert done.returncode == 1
    assert "missing here: ninja-build binutils " in done.stderr
    assert "no apt-get" in done.stderr
    assert machine.calls() == []
    assert not (machine.folder / "build").exists() and not (machine.folder / "cache").exists()


def test_a_user_without_sudo_gets_list_and_command(machine):
    machine.lacks("sudo", "ninja", "objdump")
    machine.user(1000)
    done = machine.run("build")
    assert done.returncode == 1
    assert "missing here: ninja-build binutils.\n" in done.stderr
    assert "As root: apt-get install --no-install-recommends ninja-build binutils\n" in done.stderr
    assert machine.calls() == []


@pytest.mark.parametrize("number", [0, 1000])
def test_a_package_that_is_missing_is_installed_alone(machine, number):
    machine.have_libllama()
    machine.lacks("ninja")
    machine.user(number)
    done = machine.run("build")
    assert done.returncode == 0, done.stderr
    installs = [c for c in machine.calls() if c.startswith("apt-get")]
    assert len(installs) == 1 and installs[0].endswith(" install --no-install-recommends ninja-build")
    assert any(c.startswith("sudo ") for c in machine.calls()) == (number != 0)
    assert machine.run("build").returncode == 0
    assert machine.calls() == []


def test_a_step_that_does_not_exist(machine):
    done = machine.run("everything")
    assert done.returncode == 1 and "no such set-up: 'everything'" in done.stderr
    assert machine.calls() == []
    assert os.listdir(machine.folder / "tools") and not (machine.folder / "build").exists()
