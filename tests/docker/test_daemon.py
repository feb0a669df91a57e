"""The tests' own daemon: that it starts, is shared, ends with its last user, however that one ends, and leaves nothing."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import daemon as daemons
import images
import pytest

SHELL = ("run", "--rm", "--init", "--pull", "never", "--network", "none")


def test_images_need_no_registry_and_keep_their_ids(docker):
    for kind in images.KINDS:
        assert docker.image_id(docker.image(kind)) == images.build(kind, labels={daemons.KEY: images.inputs(kind)}).id
    assert docker.ok(*SHELL, "llem-test/base", "sh", "-c", "ls /usr/lib/*/libc.so.6 && ! command -v python3")
    said = docker.ok(*SHELL, "--user", "1234:1234", "llem-test/python", "python3", "-c", "import ssl,sqlite3,ctypes,json;print(6*7)")
    assert said == "42"


def test_the_worker_starts_where_glibc_is_new_enough(docker, build_dir):
    mount = ("--mount", f"type=bind,source={build_dir}/bin,target=/opt/llem/bin,readonly", "--entrypoint", "/opt/llem/bin/llem-worker")
    assert "llem-worker" in docker.ok(*SHELL, *mount, docker.image("base"), "--version")
    old = docker.run(*SHELL, *mount, docker.image("oldglibc"), "--version")
    assert old.returncode == 1 and "version `GLIBC_2.3" in old.stderr, old
    none = docker.run(*SHELL, *mount, docker.image("noglibc"), "--version")
    assert none.returncode == 127 and "no such file" in none.stderr.lower(), none


def test_the_toolkit_stand_in(docker, tmp_path):
    script = tmp_path / "boards.json"
    script.write_text(json.dumps({"devices": [{"name": "one"}, {"name": "two", "uuid": "GPU-two"}]}))
    run = (*SHELL, "-e", f"LLEM_NVML_SIM={script}")
    said = docker.ok(*run, "--gpus", "device=GPU-two", docker.image("base"), "sh", "-c", "nvidia-smi -L; ls /usr/lib/*/libnvidia-ml.so.1")
    assert "GPU 0: two (UUID: GPU-two)" in said and "one" not in said and "libnvidia-ml.so.1" in said
    unknown = docker.run(*run, "--gpus", "device=GPU-nosuch", "llem-test/base", "true")
    assert unknown.returncode == 125 and "GPU-nosuch: unknown device" in unknown.stderr
    future = docker.run(*run, "--gpus", "all", docker.image("cudafuture"), "true")
    assert future.returncode == 125 and "unsatisfied condition: cuda>=99.0" in future.stderr
    assert docker.run(*run, "--gpus", "all", docker.image("cuda12"), "true").returncode == 0


def test_pulls_from_the_stand_in_registry(docker, registry):
    name = registry.push("llem/one:1", images.build("base", labels={"n": "1"}))
    docker.ok("pull", "-q", name)
    told = docker.json("image", "inspect", name)[0]
    assert told["Id"] == images.build("base", labels={"n": "1"}).id
    assert f"{registry.address}/llem/one@{registry.digest_of(name)}" in told["RepoDigests"]
    registry.push("llem/one:1", images.build("base", labels={"n": "2"}))
    docker.ok("pull", "-q", name)
    assert docker.image_id(name) != told["Id"]
    absent = docker.run("pull", f"{registry.address}/llem/none:1")
    assert absent.returncode == 1 and "manifest unknown" in absent.stderr


def reader(folder, *rest):
    """A process that uses the daemon of a folder and says when it is up."""
    text = f"import sys,time; sys.path.insert(0,{str(Path(daemons.__file__).parent)!r}); import daemon\n"
    text += f"d=daemon.Daemon({str(folder)!r}).start(); print(d.pid(), flush=True); time.sleep(600)"
    return subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)


def test_two_share_one_and_the_last_ends_it(tmp_path, build_dir):
    if daemons.why_not():
        pytest.skip(f"needs:docker {daemons.why_not()}")
    folder = tmp_path / "d"
    users = [reader(folder), reader(folder)]
    pids = {int(u.stdout.readline()) for u in users}
    assert len(pids) == 1
    daemon = daemons.Daemon(folder)
    users[0].kill()
    users[0].wait()
    time.sleep(0.3)
    assert daemon.pid() in pids
    daemon.image("base")
    name = daemon.ok("run", "-d", "--init", "--network", "none", "llem-test/base", "sleep", "1000")
    inside = int(daemon.ok("inspect", "-f", "{{.State.Pid}}", name))
    users[1].send_signal(signal.SIGKILL)
    users[1].wait()
    daemon.wait_end()
    assert not daemons.alive(inside) and not daemons.answers(daemon.socket)
    assert not daemons.mounts_below(folder, daemon.short)


def test_a_killed_daemon_comes_back(own_docker):
    own_docker.image("base")
    first = own_docker.pid()
    name = own_docker.ok("run", "-d", "--init", "--network", "none", "llem-test/base", "sleep", "1000")
    own_docker.kill()
    assert own_docker.pid() is None and not daemons.answers(own_docker.socket)
    own_docker.start()
    assert own_docker.pid() not in (None, first)
    own_docker.ok("rm", "-f", name)


def test_nothing_of_the_host_is_changed(docker):
    told = docker.json("info", "--format", "{{json .}}")
    assert told["DockerRootDir"] == str(docker.folder / "data")
    assert not Path("/sys/class/net/docker0").exists() or "docker0" not in Path("/proc/net/route").read_text()
    names = docker.ok("network", "ls", "--format", "{{.Name}}").split()
    assert sorted(names) == ["host", "none"]


def test_the_command(tmp_path, build_dir):
    if daemons.why_not():
        pytest.skip(f"needs:docker {daemons.why_not()}")
    (tmp_path / "lib").mkdir()
    env = {**os.environ, "LLEM_BUILD_DIR": str(tmp_path)}

    def command(*words):
        return subprocess.run([sys.executable, daemons.__file__, *words], env=env, capture_output=True, text=True, timeout=120)

    started = command("start")
    host = re.fullmatch(r"export DOCKER_HOST=unix://(\S+)\n", started.stdout)
    assert host, started
    try:
        assert command("env").stdout == started.stdout
        assert command("run", "docker", "version", "-f", "{{.Server.Version}}").returncode == 0
        assert daemons.answers(host.group(1))
    finally:
        stopped = command("stop")
    assert stopped.returncode == 0 and not daemons.answers(host.group(1)), stopped
