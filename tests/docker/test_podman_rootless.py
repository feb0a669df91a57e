"""podman without root, through the command line: the user's own store, no cgroup of its own, the same ends.

The user is one that this machine does not know: a mount namespace of the command's own has files for /etc/passwd, /etc/subuid and
so on that name it. Networks of its own need a device that not every machine has: runs have none."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import daemon as daemons
import podman as podmen
import pytest
from studies import check_records, the_study, write
from terminal import Terminal

UID = 45671
NAME = "llem-test"
SLOW = {"n": 2, "sim.load_ms": 500, "sim.token_us": 100000, "max_output_tokens": 60, "warmup.enabled": False}
ENTER = """mount --make-rprivate /
for name in passwd group subuid subgid; do mount --bind "$0/$name" /etc/$name || exit; done
exec setpriv --reuid {uid} --regid {uid} --clear-groups "$@"
"""


class Rootless(podmen.Podman):
    """podman of a user with a home of its own in `folder`."""

    def __init__(self, folder, docker):
        super().__init__(folder, docker)
        text = (folder / "containers.conf").read_text().replace(f'tmp_dir = "{folder}/tmp"\n', "")
        (folder / "containers.conf").write_text(text.replace("[engine]", 'netns = "none"\n[engine]'))
        (folder / "storage.conf").write_text('[storage]\ndriver = "vfs"\n')
        for name, line in (("passwd", f"{NAME}:x:{UID}:{UID}::{folder}:/bin/sh\n"), ("group", f"{NAME}:x:{UID}:\n")):
            (folder / name).write_text(Path(f"/etc/{name}").read_text() + line)
        for name in ("subuid", "subgid"):
            (folder / name).write_text(f"{NAME}:200000:65536\n")
            open(f"/etc/{name}", "a").close()  # something to mount over
        (folder / "runtime").mkdir(mode=0o700)
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, UID, UID)

    def env(self):
        return super().env() | {"HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder / "runtime")}

    def enter(self, command):
        return ["unshare", "--mount", "sh", "-c", ENTER.format(uid=UID), str(self.folder), *map(str, command)]

    def run(self, *arguments, timeout=120, **options):
        options = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, **options}
        env = {k: v for k, v in daemons.environment().items() if not k.startswith("XDG_")} | self.env()
        return subprocess.run(self.enter(["podman", *arguments]), timeout=timeout, env=env, cwd="/", **options)

    def containers(self):
        return self.ok("ps", "-aq", "--no-trunc").split()

    def close(self):
        left = self.containers()
        if left:
            self.run("rm", "-f", "-t", "0", *left)
        self.run("system", "migrate")  # ends the process that holds the user's namespace
        return left


@pytest.fixture
def rootless(docker, llem):
    if not shutil.which("newuidmap"):
        pytest.skip("needs:docker newuidmap not found: tools/setup.sh test installs uidmap")
    # Not below pytest's, which any pytest that starts closes to others; and short: where its sockets' paths are long
    # podman waits 20 s a run.
    folder = Path(tempfile.mkdtemp(prefix="llem-", dir="/tmp"))
    podman = Rootless(folder, docker)
    llem.folder = folder / "work"
    llem.folder.mkdir()
    os.chown(llem.folder, UID, UID)
    command = llem.command
    llem.command = lambda *arguments: podman.enter(command(*arguments))
    llem.env = {k: v for k, v in llem.env.items() if not k.startswith(("DOCKER_", "XDG_"))} | podman.env()
    yield podman
    left = podman.close()
    shutil.rmtree(folder, ignore_errors=True)
    assert left == []


@pytest.fixture
def image(rootless):
    name = rootless.docker.image("base")
    rootless.ok("load", "-q", stdin=None, input=rootless.docker.ok("save", name, text=False), text=False)
    return name


def study_file(llem, image, fields=None):
    return write(llem.folder / "study.yaml", {"runners.sim.use": f"podman:{image}", **(fields or {})})


def begin(llem, image):
    command = llem.command("run", study_file(llem, image, SLOW), "-o", llem.folder / "results")
    terminal = Terminal(command, cwd=llem.folder, env=llem.env)
    end = time.monotonic() + 60
    while not any('"measure"' in p.read_text() for p in llem.folder.glob("results/*/.exchange-*/progress.jsonl")):
        assert time.monotonic() < end and terminal.process.poll() is None, terminal.text
        time.sleep(0.05)
    return terminal


def worker(llem):
    """It has none of our variables: by its user."""
    done = subprocess.run(["pgrep", "-u", str(UID), "-x", "llem-worker"], capture_output=True, text=True)
    [pid] = done.stdout.split()
    return int(pid)


def test_a_study(llem, rootless, image):
    said = llem.ok("doctor", study_file(llem, image))
    assert "rootless" in said, said
    llem.ok("run", study_file(llem, image), "-o", llem.folder / "results")
    study = the_study(llem.folder / "results")
    check_records(llem, study)
    context = study.result()["context"]
    assert (context["runner"], context["image_id"]) == ("podman", rootless.docker.image_id(image))
    assert {p.stat().st_uid for p in study.folder.rglob("*")} == {UID}
    assert rootless.containers() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt(llem, rootless, image, number):
    terminal = begin(llem, image)
    try:
        assert len(rootless.containers()) == 1
        if number == signal.SIGINT:
            terminal.ctrl_c()
        else:
            os.kill(llem_pid(llem), number)
        assert terminal.wait() == 128 + number, terminal.text
        assert rootless.containers() == []
        study = the_study(llem.folder / "results")
        assert study.states() == ["interrupted"] and study.error()["phase"] == "measure"
    finally:
        terminal.close()


def llem_pid(llem):
    return next(p.pid for p in llem.left_running() if " run " in p.command and os.path.basename(p.command.split()[0]) == "llem")


@pytest.mark.slow
def test_a_worker_that_is_deaf_is_ended(llem, rootless, image):
    """Its processes are in no cgroup of the container's: that none is found does not mean that none is there."""
    terminal = begin(llem, image)
    try:
        os.kill(worker(llem), signal.SIGSTOP)
        terminal.ctrl_c()
        assert terminal.wait(90) == 130, terminal.text
        assert rootless.containers() == []
        assert the_study(llem.folder / "results").states() == ["interrupted"]
    finally:
        terminal.close()


def test_a_second_ctrl_c(llem, rootless, image):
    terminal = begin(llem, image)
    try:
        os.kill(worker(llem), signal.SIGSTOP)
        terminal.ctrl_c()
        time.sleep(1)
        began = time.monotonic()
        terminal.ctrl_c()
        assert terminal.wait() == 130, terminal.text
        assert time.monotonic() - began < 10
        assert rootless.containers() == []
    finally:
        terminal.close()


def test_kill_9_of_llem_and_the_next_start(llem, rootless, image):
    terminal = begin(llem, image)
    try:
        os.kill(worker(llem), signal.SIGSTOP)
        for process in llem.left_running():
            if os.path.basename(process.command.split()[0]) in ("llem", "podman") and " run " in process.command:
                process.kill()
        terminal.wait()
        assert len(rootless.containers()) == 1
        done = llem.run("run", study_file(llem, image), "-o", llem.folder / "next")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "removed 1 container" in done.stdout + done.stderr
        assert rootless.containers() == []
    finally:
        terminal.close()


def test_a_limit_that_nobody_would_heed_is_refused(llem, rootless, image):
    info = json.loads(rootless.ok("info", "--format", "json"))
    if info["host"]["cgroupVersion"] != "v1":
        return  # there it is heeded
    done = llem.run("run", study_file(llem, image, {"runners.sim.memory": "512m"}), "-o", llem.folder / "results")
    assert done.returncode == 2 and "no such limit is heeded" in done.stderr, done.stdout + done.stderr
