"""A Docker daemon of the tests' own, in the build folder. Nothing of the host's daemon, network or firewall is touched.

By hand (as root; LLEM_BUILD_DIR or build/release says which build):

    build/venv/bin/python tests/docker/daemon.py start         # until `stop`; prints the line for your shell
    eval "$(build/venv/bin/python tests/docker/daemon.py env)"  # DOCKER_HOST=unix://…
    build/venv/bin/python tests/docker/daemon.py image python base cuda12   # makes images (all kinds without a name)
    build/venv/bin/python tests/docker/daemon.py run COMMAND…  # a daemon for as long as the command lasts
    build/venv/bin/python tests/docker/daemon.py stop

In tests (tests/docker/conftest.py; each file there is of the lane `docker`):

    def test_x(docker, llem):             # llem has DOCKER_HOST; afterwards no container of this test may be left
        docker.image("python")            # "llem-test/python", made if it is not there; its name is returned
        docker.image("base", env={"A": "1"}, labels={…}, files={"/opt/x": "text"}, name="llem-test/mine")
        docker.run("run", "--rm", "--pull", "never", "--network", "none", …)   # a client command: CompletedProcess, never raises
        docker.ok(…)                      # the same, which must exit 0: its output
        docker.containers()               # ids of the containers with mounts below this test's folder
    def test_y(own_docker, llem): …       # a daemon for this test alone, which it may kill() and start() as it likes

    def test_z(docker, registry): name = registry.push("llem/x:1", images.build("base"))  # a registry to pull from: registry.py

Images (images.py), all from this machine's packages, no registry, the same id each time:
    llem-test/base        busybox and glibc, nothing else
    llem-test/python      base and Debian's Python with its standard library (python3; nothing of llem, no pip)
    llem-test/noglibc     busybox alone: there is no loader for a program that links libc
    llem-test/oldglibc    a glibc that says 2.31 and has no GLIBC_2.32 … 2.36
    llem-test/cuda11, cuda12, cuda13, cudafuture   base with CUDA_VERSION, NVIDIA_REQUIRE_CUDA, NVIDIA_VISIBLE_DEVICES
Networks: none and host (there is no bridge).

GPUs: dockerd finds nvidia_hook.py, a stand-in for the NVIDIA Container Toolkit, so `--gpus` works: simulated NVML and an
nvidia-smi are put into the container with the boards asked for. Which boards there are says the script that LLEM_NVML_SIM
of the *container* names by its path on this machine (`docker run -e LLEM_NVML_SIM=…`, `runners.X.environment:
[LLEM_NVML_SIM]`), else the file nvidia/boards.json in the daemon's folder (two idle boards with the simulator's default
names GPU-00000000-0000-4000-8000-00000000000{0,1}). Without the toolkit: `own_docker.start(nvidia=False)`.

How it ends: every user holds a shared lock on one file, which the kernel drops when the user dies, however it dies. A
guard started with the daemon waits for that lock; when it has it nobody is left, and it stops the daemon by its pid,
removes its containers and unmounts what it mounted. Images stay in the build folder for the next time.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

import images  # noqa: E402
import nvidia_hook  # noqa: E402

KEY = "org.llenergymeasure.test.inputs"
LONGEST = 60  # of a folder that holds containerd's sockets: a socket's path has 107 characters at most
PR_SET_PDEATHSIG = 1


def why_not():
    """What is missing here for a daemon, or None."""
    missing = [name for name in ("dockerd", "containerd", "runc", "docker", "iptables", "busybox") if not shutil.which(name)]
    if missing:
        return f"{', '.join(missing)} not found: tools/setup.sh test installs docker.io, iptables and busybox-static"
    if os.geteuid() != 0:
        return "dockerd needs root: run the tests as root, as CI does"
    return None


def default_folder():
    build = Path(os.environ.get("LLEM_BUILD_DIR", ROOT / "build" / "release")).resolve()
    return build / "docker"


def environment(host=None):
    """This process's variables, with nothing that would lead a client elsewhere."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "CONTAINER_"))}
    return clean | ({"DOCKER_HOST": host} if host else {})


def answers(path, timeout=5):
    """Whether a daemon says OK on that socket."""
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(timeout)
            s.connect(str(path))
            s.sendall(b"GET /_ping HTTP/1.0\r\nHost: d\r\n\r\n")
            return b" 200 " in s.recv(64)
    except OSError:
        return False


def alive(pid):
    """A process that is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def mounts_below(*folders):
    found = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [m for m in reversed(found) if any(m == f or m.startswith(f + "/") for f in map(str, folders))]


@contextlib.contextmanager
def locked(path):
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Daemon:
    """A daemon in a folder, and a client of it."""

    def __init__(self, folder=None, below=None):
        self.folder = Path(folder or default_folder()).resolve()
        self.short = self.folder
        if len(str(self.folder)) > LONGEST:
            self.short = Path("/run") / f"llem-test-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]}"
        self.socket = self.short / "docker.sock"
        self.host = f"unix://{self.socket}"
        self.pid_file = self.folder / "dockerd.pid"
        self.log = self.folder / "dockerd.log"
        self.below = below
        self.lease = None

    # As a user of it

    def start(self, nvidia=True):
        """Makes sure that it is up and stays up for as long as this process lives or until close()."""
        reason = why_not()
        if reason:
            raise RuntimeError(reason)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.short.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / "start.lock"):
            if not self.lease:
                self.lease = open(self.folder / "users.lock", "a")  # held
                fcntl.flock(self.lease, fcntl.LOCK_SH)
            if not answers(self.socket):
                self._start_guard(nvidia)
        return self

    def close(self):
        """Lets go of it; the last to do so ends it."""
        if self.lease:
            self.lease.close()
            self.lease = None

    def wait_end(self, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with locked(self.folder / "start.lock"):
                if not self.pid() and not mounts_below(self.folder, self.short):
                    return
            time.sleep(0.05)
        raise RuntimeError(f"the daemon in {self.folder} did not end\n{self.last_words()}")

    def pid(self):
        """Its process, if that is one; the file may be of a daemon that was killed, its number of another process by now."""
        try:
            pid = int(self.pid_file.read_text())
        except (OSError, ValueError):
            return None
        return pid if alive(pid) and str(self.pid_file) in command_of(pid) else None

    def kill(self, number=signal.SIGKILL):
        """Ends the daemon alone (not for one that is shared). Containers go on under their shims; start() comes back to them."""
        pid = self.pid()
        if pid:
            os.kill(pid, number)
            while alive(pid):
                time.sleep(0.01)

    def last_words(self, lines=25):
        text = "".join(p.read_text(errors="replace") for p in (self.folder / "guard.log", self.log) if p.exists())
        return "\n".join(text.splitlines()[-lines:])

    def env(self):
        return {"DOCKER_HOST": self.host}

    def run(self, *arguments, timeout=120, **options):
        """A client command to its end: CompletedProcess with text."""
        options = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, **options}
        if "input" in options:
            options.pop("stdin")
        env = environment(self.host) | options.pop("env", {})
        return subprocess.run(["docker", *map(str, arguments)], timeout=timeout, env=env, **options)

    def ok(self, *arguments, **options):
        done = self.run(*arguments, **options)
        assert done.returncode == 0, f"docker {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip() if isinstance(done.stdout, str) else done.stdout

    def json(self, *arguments):
        return json.loads(self.ok(*arguments))

    def image(self, kind, name=None, env=None, labels=None, files=None, entrypoint=None, created=images.CREATED):
        """Makes an image (images.py) if it is not there in just that form; its name."""
        plain = not (env or labels or files or entrypoint)
        if name is None:
            assert plain, "an image that differs from its kind needs a name of its own"
            name = f"llem-test/{kind}"
        inputs = images.inputs(kind) if plain else None
        if inputs:
            done = self.run("image", "inspect", "-f", f'{{{{index .Config.Labels "{KEY}"}}}}', name)
            if done.returncode == 0 and done.stdout.strip() == inputs:
                return name
        image = images.build(kind, env, {**(labels or {}), **({KEY: inputs} if inputs else {})}, files, entrypoint, created)
        with locked(self.folder / "load.lock"):
            done = self.run("load", "-q", input=image.archive(name), text=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return name

    def image_id(self, name):
        return self.ok("image", "inspect", "-f", "{{.Id}}", name)

    def containers(self, *filters):
        """Ids of the containers (running or not) that have a mount below the folder of this test; all without a folder."""
        ids = self.ok("ps", "-aq", "--no-trunc", *(f"--filter={f}" for f in filters)).split()
        if not ids or not self.below:
            return ids
        done = self.run("inspect", *ids)  # one may go in between: what is left is printed all the same
        found = json.loads(done.stdout or "[]")
        below = str(self.below)
        return [c["Id"] for c in found if any(m.get("Source", "").startswith(below) for m in c["Mounts"])]

    def boards(self, script):
        """Which boards a container has that names none itself (of the whole daemon: for one of a test's own)."""
        (self.folder / "nvidia" / "boards.json").write_text(json.dumps(script))

    # As its guard

    def _start_guard(self, nvidia):
        self._clear_stale()
        with open(self.folder / "guard.log", "w") as log:
            command = [sys.executable, str(HERE / "daemon.py"), "--guard", str(self.folder), "nvidia" if nvidia else "plain"]
            guard = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        threading.Thread(target=guard.wait, daemon=True).start()  # no zombie
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if answers(self.socket):
                return
            if guard.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"dockerd did not come up in {self.folder}\n{self.last_words()}")

    def _clear_stale(self):
        """What a daemon that was killed leaves and the next one stumbles over: pid files of the dead, a socket."""
        end = time.monotonic() + 30
        while self.pid() and time.monotonic() < end:  # one that is about to end
            time.sleep(0.05)
        containerd = self.short / "exec" / "containerd" / "containerd.pid"
        for path in (self.pid_file, containerd):
            path.unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)

    def _hook(self):
        """The folder to put first on dockerd's PATH."""
        folder = self.folder / "nvidia"
        (folder / "bin").mkdir(parents=True, exist_ok=True)
        library = self.folder.parent / "lib" / "libllem-nvml-sim.so"
        if not library.exists():
            library = default_folder().parent / "lib" / "libllem-nvml-sim.so"
        hook = folder / "bin" / "nvidia-container-runtime-hook"
        nvidia_hook.prepare(folder, library)
        words = [sys.executable, "-I", str(HERE / "nvidia_hook.py"), str(folder)]
        hook.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$1"\n')
        hook.chmod(0o755)
        if not (folder / "boards.json").exists():
            (folder / "boards.json").write_text(json.dumps({"devices": [{}, {}]}))
        return folder / "bin"

    def _spawn(self, nvidia):
        env = environment()
        if nvidia:
            env["PATH"] = f"{self._hook()}:{env['PATH']}"
        if self.log.exists() and self.log.stat().st_size > 8 << 20:
            self.log.unlink()
        die_with_me = ctypes.CDLL(None).prctl
        command = ["dockerd", "--data-root", self.folder / "data", "--exec-root", self.short / "exec", "--pidfile", self.pid_file,
                   "--host", self.host, "--config-file", self.folder / "daemon.json", "--bridge=none", "--iptables=false",
                   "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"]  # fmt: skip
        (self.folder / "daemon.json").write_text("{}")
        with open(self.log, "a") as log:
            return subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                                    preexec_fn=lambda: die_with_me(PR_SET_PDEATHSIG, signal.SIGTERM))  # fmt: skip

    def guard(self, nvidia):
        """Runs the daemon until nobody uses it. A process of its own."""
        process = self._spawn(nvidia)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        ending = threading.Event()
        thread = threading.Thread(target=self._end_when_unused, args=(process, ending), daemon=True)
        thread.start()
        process.wait()
        if ending.is_set():  # else it was killed: its containers live on, and whoever starts it again comes back to them
            thread.join()

    def _end_when_unused(self, process, ending):
        users = open(self.folder / "users.lock", "a")  # held
        while True:
            fcntl.flock(users, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_UN)
            with locked(self.folder / "start.lock"):  # nobody can come in between
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                ending.set()
                return self._end(process)

    def _end(self, process):
        with contextlib.suppress(Exception):
            left = self.containers()
            if left:
                self.run("rm", "-f", *left, timeout=30)
            kinds = {f"llem-test/{kind}:latest" for kind in images.KINDS}  # what one test alone wanted goes with it
            names = set(self.ok("images", "--format", "{{.Repository}}:{{.Tag}}").split()) - kinds
            if names:
                self.run("rmi", "-f", *(n for n in names if "<none>" not in n), timeout=30)
            self.run("image", "prune", "-f", timeout=30)
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.end_leftovers()

    def end_leftovers(self):
        """Shims that outlived a daemon, with what runs below them, and mounts."""
        mark = str(self.short / "exec" / "containerd" / "containerd.sock")
        for entry in Path("/proc").glob("[0-9]*"):
            if mark in command_of(entry.name) and "containerd-shim" in command_of(entry.name)[0]:
                for pid in [*children(int(entry.name)), int(entry.name)]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        for mount in mounts_below(self.folder, self.short):
            subprocess.run(["umount", "-l", mount], capture_output=True)
        self.socket.unlink(missing_ok=True)
        if self.short != self.folder:
            shutil.rmtree(self.short, ignore_errors=True)


def children(parent):
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "stat").read_text().rpartition(")")[2].split()[1] == str(parent):
                found += [int(entry.name), *children(int(entry.name))]
    return found


# The command


def hold(daemon):
    """Uses the daemon until it is told not to."""
    daemon.start()
    (daemon.folder / "hold.pid").write_text(str(os.getpid()))
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


def held_by(daemon):
    try:
        pid = int((daemon.folder / "hold.pid").read_text())
    except (OSError, ValueError):
        return None
    return pid if alive(pid) and "--hold" in command_of(pid) else None


def start(daemon):
    daemon.start()
    if not held_by(daemon):
        (daemon.folder / "hold.pid").unlink(missing_ok=True)
        subprocess.Popen([sys.executable, __file__, "--hold"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
        while not held_by(daemon):
            time.sleep(0.05)
    print(f"export DOCKER_HOST={daemon.host}")


def stop(daemon):
    pid = held_by(daemon)
    if pid:
        os.kill(pid, signal.SIGTERM)
        while alive(pid):
            time.sleep(0.02)
    with contextlib.suppress(RuntimeError):
        daemon.wait_end(20)
        return 0
    print(f"still used by others: {daemon.host}")
    return 0


def main(words):
    if words[:1] == ["--guard"]:
        return Daemon(words[1]).guard(words[2] == "nvidia")
    daemon, verb, rest = Daemon(), words[0] if words else "", words[1:]
    if verb in ("start", "run", "image") and why_not():
        print(f"daemon.py: {why_not()}", file=sys.stderr)
        return 1
    if verb == "start":
        return start(daemon)
    if verb == "--hold":
        return hold(daemon)
    if verb == "stop":
        return stop(daemon)
    if verb == "env":
        return print(f"export DOCKER_HOST={daemon.host}")
    if verb == "image":
        daemon.start()
        for kind in rest or images.KINDS:
            print(daemon.image(kind))
        return 0
    if verb == "run" and rest:
        daemon.start()
        return subprocess.run(rest, env=environment(daemon.host)).returncode
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) or 0)
