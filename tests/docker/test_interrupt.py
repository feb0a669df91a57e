"""Containers do not outlive their run: Ctrl-C on a terminal in every phase, a second one, kill -9 of anybody, deadlines."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

import support
from studies import the_study, write
from terminal import Terminal

SLOW = {"n": 2, "sim.load_ms": 1000, "sim.token_us": 100000, "max_output_tokens": 60, "warmup.enabled": False}
LABEL = "label=org.llenergymeasure.run=1"


@pytest.fixture
def image(docker):
    return docker.image("base")


@pytest.fixture
def terminal(llem):
    opened = []

    def start(*arguments, **env):
        opened.append(Terminal(llem.command(*arguments), cwd=llem.folder, env=llem.env | env))
        return opened[-1]

    yield start
    for t in opened:
        t.close()


def wait_until(true, seconds=60, what=""):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = true()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what or true} did not come about")


def of_the_run(llem, name):
    """Files of that name in the exchange folders that there are now."""
    return list((llem.folder / "results").glob(f"*/.exchange-*/{name}"))


def wait_for_phase(llem, phase):
    wait_until(lambda: any(f'"{phase}"' in p.read_text() for p in of_the_run(llem, "progress.jsonl")), what=phase)


def begin(llem, terminal, image, fields=None, **env):
    path = write(llem.folder / "study.yaml", {**SLOW, "runners.sim.use": f"docker:{image}", **(fields or {})})
    return terminal("run", path, "-o", llem.folder / "results", **env)


def running(docker):
    """Containers with our labels that belong to this test."""
    ours = set(docker.ok("ps", "-q", "--no-trunc", "--filter", LABEL).split())
    return ours & set(docker.containers())


def pids(docker):
    """Of a container's processes as this machine numbers them: (pid, command)."""
    [container] = running(docker)
    rows = docker.ok("top", container, "-eo", "pid,args").splitlines()[1:]
    return [(int(r.split()[0]), " ".join(r.split()[1:])) for r in rows]


def pid_of(docker, program):
    return next(pid for pid, command in pids(docker) if command.split()[0].endswith(program))


def check_interrupted(llem, docker, terminal, code=130):
    assert terminal.wait() == code, terminal.text
    study = the_study(llem.folder / "results")
    assert study.states() == ["interrupted"]
    assert study.journal[-1]["state"] == "interrupted"
    assert running(docker) == set()
    assert docker.containers() == []
    return study


@pytest.mark.parametrize("phase", ["load", "warm-up", "measure"])
def test_ctrl_c_in_a_phase(llem, docker, image, terminal, phase):
    t = begin(llem, terminal, image, {"warmup.enabled": phase == "warm-up",
                                       "sim.load_ms": 8000 if phase == "load" else 200})
    wait_for_phase(llem, phase)
    assert len(running(docker)) == 1
    began = time.monotonic()
    t.ctrl_c()
    study = check_interrupted(llem, docker, t)
    assert time.monotonic() - began < 15
    record = study.error()
    assert record["class"] == "Interrupted"
    assert record["phase"] == phase  # the worker's own record
    assert (study.runs[0] / "engine.log").exists()


def test_ctrl_c_while_the_container_is_being_made(llem, docker, image, terminal):
    t = begin(llem, terminal, image)
    wait_until(lambda: of_the_run(llem, "owner.lock"), what="the run")
    t.ctrl_c()
    check_interrupted(llem, docker, t)


def test_second_ctrl_c_while_it_ignores_term(llem, docker, image, terminal):
    t = begin(llem, terminal, image, {"sim.fail": "hang_hard", "sim.fail_at": 4})
    wait_for_phase(llem, "measure")
    worker = pid_of(docker, "llem-worker")
    os.kill(worker, signal.SIGSTOP)  # it is deaf to everything
    t.ctrl_c()
    time.sleep(1)
    assert len(running(docker)) == 1
    began = time.monotonic()
    t.ctrl_c()
    check_interrupted(llem, docker, t)
    assert time.monotonic() - began < 8


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_it(llem, docker, image, terminal, number):
    t = begin(llem, terminal, image)
    wait_for_phase(llem, "measure")
    t.process.send_signal(number)
    check_interrupted(llem, docker, t, 128 + number)


def test_kill_9_of_llem_and_the_next_start(llem, docker, image, terminal):
    """The worker notices, and leaves its record; whatever is left all the same is swept by the next start."""
    t = begin(llem, terminal, image)
    wait_for_phase(llem, "measure")
    t.process.kill()
    assert t.wait() == 128 + signal.SIGKILL
    wait_until(lambda: not docker.containers(), 20, "the end of the container")
    [record] = [json.loads(p.read_text()) for p in of_the_run(llem, "*_error.json")]
    assert record["class"] == "Interrupted"
    folder = next((llem.folder / "results").iterdir())
    assert "lost" in llem.ok("show", folder) and record["message"] in llem.ok("show", folder)
    path = write(llem.folder / "next.yaml", {"runners.sim.use": f"docker:{image}"})
    done = llem.run("run", path, "-o", llem.folder / "next")
    assert done.returncode == 0, done.stderr
    assert docker.containers() == []


def test_orphans_of_a_dead_llem_are_swept(llem, own_docker, terminal):
    """Worker and client are stopped, so that neither can do anything when llem is killed; a living owner's is spared. In a
    daemon of its own: in a shared one any other test's start sweeps too."""
    docker, image = own_docker, own_docker.image("base")
    t = begin(llem, terminal, image)
    wait_for_phase(llem, "measure")
    [orphan] = running(docker)
    worker = pid_of(docker, "llem-worker")
    client = next(p.pid for p in support.processes_marked(llem.mark) if " run " in p.command and "docker" in p.command)
    os.kill(worker, signal.SIGSTOP)
    os.kill(client, signal.SIGKILL)
    t.process.kill()
    t.wait()
    time.sleep(0.5)
    assert running(docker) == {orphan}
    owner = docker.ok("inspect", "-f", '{{index .Config.Labels "org.llenergymeasure.owner"}}', orphan)
    boot, _, _, namespace = owner.split(":")
    ticks = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    mine = f"{boot}:{os.getpid()}:{ticks}:{namespace}"
    spared = docker.ok("run", "-d", "--rm", "--init", "--label", "org.llenergymeasure.run=1", "--label",
                       f"org.llenergymeasure.owner={mine}", "--mount", f"type=bind,src={llem.folder},dst=/x",
                       "--network", "none", image, "sleep", "100")
    path = write(llem.folder / "next.yaml", {"runners.sim.use": f"docker:{image}"})
    done = llem.run("run", path, "-o", llem.folder / "next")
    assert done.returncode == 0, done.stderr
    assert set(docker.containers()) == {spared}
    assert "dead llem" in done.stdout + done.stderr
    docker.ok("rm", "-f", spared)


def test_ctrl_c_while_orphans_are_swept(llem, own_docker, terminal):
    """Deaf ones, each of which has its time to end."""
    image = own_docker.image("base")
    dead = own_docker.ok("run", "--rm", "--network", "none", image, "cat", "/proc/sys/kernel/random/boot_id")
    namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    owner = f"org.llenergymeasure.owner={dead}:2147483000:1:{namespace}"
    for _ in range(3):
        own_docker.ok("run", "-d", "--rm", "--network", "none", "--label", "org.llenergymeasure.run=1", "--label", owner, image,
                      "sh", "-c", "trap '' TERM INT; while :; do sleep 1; done")
    t = begin(llem, terminal, image)
    time.sleep(3)
    began = time.monotonic()
    t.ctrl_c()
    assert t.wait() == 130, t.text
    assert time.monotonic() - began < 5
    assert not list(llem.folder.glob("results/*/journal.jsonl"))  # nothing was begun
    own_docker.ok("rm", "-f", *own_docker.ok("ps", "-aq").split())


def test_kill_9_of_the_client(llem, docker, image, terminal):
    """The container goes on without it, and so does the run."""
    t = begin(llem, terminal, image, {"sim.token_us": 30000, "sim.load_ms": 100})
    wait_for_phase(llem, "measure")
    client = next(p.pid for p in support.processes_marked(llem.mark) if " run " in p.command and "docker" in p.command)
    os.kill(client, signal.SIGKILL)
    assert t.wait() == 0, t.text
    assert the_study(llem.folder / "results").states() == ["ok"]
    assert docker.containers() == []


def test_ctrl_c_after_the_client_died(llem, docker, image, terminal):
    t = begin(llem, terminal, image)
    wait_for_phase(llem, "measure")
    client = next(p.pid for p in support.processes_marked(llem.mark) if " run " in p.command and "docker" in p.command)
    os.kill(client, signal.SIGKILL)
    time.sleep(0.5)
    t.ctrl_c()
    study = check_interrupted(llem, docker, t)
    assert study.error()["phase"] == "measure"


def status_of(docker):
    [container] = running(docker)
    return docker.ok("inspect", "-f", "{{.State.Status}}", container)


def is_stopped(process):
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def suspend(llem, docker, image, fields=None):
    """A run that was at work when llem was suspended; started as a shell starts a job."""
    path = write(llem.folder / "study.yaml", {**SLOW, "runners.sim.use": f"docker:{image}", "max_output_tokens": 20, **(fields or {})})
    process = llem.start("run", path, "-o", llem.folder / "results", process_group=0)
    wait_for_phase(llem, "measure")
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGTSTP)
    wait_until(lambda: is_stopped(process), 5, "stopped")
    assert status_of(docker) == "paused"
    return process


def test_ctrl_z_pauses_the_container_and_fg_flags(llem, docker, image):
    """Longer than the time limit of the run, which it does not count for."""
    process = suspend(llem, docker, image, {"limits.timeout_seconds": 6})
    time.sleep(6)
    assert status_of(docker) == "paused"
    os.killpg(process.pid, signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, (out, err)
    study = the_study(llem.folder / "results")
    record = study.result()
    assert study.states() == ["ok"] and "paused" in record["flags"]
    assert [p["cause"] for p in record["machine"]["pauses"]] == ["ctrl_z"]
    assert 5.9 < record["machine"]["pauses"][0]["seconds"] < 8
    assert docker.containers() == []


def test_an_interrupt_of_a_suspended_run(llem, docker, image):
    process = suspend(llem, docker, image)
    os.killpg(process.pid, signal.SIGINT)
    os.killpg(process.pid, signal.SIGCONT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert the_study(llem.folder / "results").error()["phase"] == "measure"
    assert docker.containers() == []


@pytest.mark.parametrize("client_too", [False, True], ids=["llem", "llem-and-client"])
def test_nothing_stays_paused_when_a_suspended_llem_is_killed(llem, docker, image, client_too):
    """The worker goes on, finds its owner gone, and leaves its record."""
    process = suspend(llem, docker, image)
    client = next(p for p in support.processes_marked(llem.mark) if " run " in p.command and "docker" in p.command)
    if client_too:
        client.kill()
    process.kill()
    process.communicate(timeout=10)
    wait_until(lambda: not docker.containers(), 20, "the end of the container")
    [record] = [json.loads(p.read_text()) for p in of_the_run(llem, "*_error.json")]
    assert record["class"] == "Interrupted"
    wait_until(lambda: not llem.left_running(), 10, "the end of what watched")


def test_a_paused_orphan_is_swept(llem, own_docker):
    image = own_docker.image("base")
    process = suspend(llem, own_docker, image)
    for p in support.processes_marked(llem.mark):  # the client, and who would let the container go on; llem after them
        if p.pid != process.pid:
            p.kill()
    process.kill()
    process.communicate(timeout=10)
    assert status_of(own_docker) == "paused"
    llem.ok("run", write(llem.folder / "next.yaml", {"runners.sim.use": f"docker:{image}"}), "-o", llem.folder / "next")
    assert own_docker.containers() == []


def test_deadline(llem, docker, image, terminal):
    t = begin(llem, terminal, image, {"limits.timeout_seconds": 6, "sim.fail": "hang", "sim.fail_at": 2})
    assert t.wait() == 1, t.text
    study = the_study(llem.folder / "results")
    assert study.error()["class"] == "TimeoutError"
    assert docker.containers() == []


@pytest.mark.parametrize("program", ["llem-worker", "llem-engine-sim"])
def test_kill_9_inside(llem, docker, image, terminal, program):
    t = begin(llem, terminal, image, {"sim.load_ms": 200})
    wait_for_phase(llem, "measure")
    os.kill(pid_of(docker, program), signal.SIGKILL)
    assert t.wait() == 1, t.text
    study = the_study(llem.folder / "results")
    assert study.states() == ["failed"]
    assert study.error()["class"] in ("WorkerDied", "ContainerKilled", "EngineDied")
    assert docker.containers() == []


@pytest.mark.parametrize("verb", [("stop", "-t", "30"), ("kill",), ("rm", "-f")])
def test_somebody_else_ends_the_container(llem, docker, image, terminal, verb):
    t = begin(llem, terminal, image, {"sim.load_ms": 200})
    wait_for_phase(llem, "measure")
    [container] = running(docker)
    docker.ok(*verb, container)
    assert t.wait() == 1, t.text
    study = the_study(llem.folder / "results")
    assert study.error()["class"] in ("Interrupted", "ContainerKilled", "WorkerDied")
    assert docker.containers() == []


@pytest.mark.parametrize("back", [False, True], ids=["gone", "back-at-once"])
def test_the_daemon_is_killed_in_mid_run(llem, own_docker, terminal, back):
    """Its containers go on without it: the worker is told by its lock, and nothing is left."""
    t = begin(llem, terminal, own_docker.image("base"))
    wait_for_phase(llem, "measure")
    worker = pid_of(own_docker, "llem-worker")
    own_docker.kill()
    if back:
        own_docker.start()
    assert t.wait() == 1, t.text
    study = the_study(llem.folder / "results")
    assert study.error()["class"] in ("DaemonLost", "ContainerKilled", "Interrupted"), study.error()
    assert not os.path.exists(f"/proc/{worker}") or not support_alive(worker)


def begin_three(llem, terminal, docker):
    """Three runs, the first of them at work."""
    fields = {**SLOW, "sim.token_us": 20000, "max_output_tokens": 20, "runners.sim.use": f"docker:{docker.image('base')}"}
    path = write(llem.folder / "study.yaml", fields, execution={"n_cycles": 3})
    t = terminal("run", path, "-o", llem.folder / "results")
    wait_for_phase(llem, "measure")
    return t


def test_runs_wait_for_a_daemon_that_comes_back(llem, own_docker, terminal):
    """The run that it was killed under is lost, and no other."""
    t = begin_three(llem, terminal, own_docker)
    own_docker.kill()
    wait_until(lambda: "waiting up to" in t.text, what="the notice")
    assert t.process.poll() is None
    time.sleep(1)
    own_docker.start()
    assert t.wait() == 1, t.text
    study = the_study(llem.folder / "results")
    assert study.states() == ["failed", "ok", "ok"], t.text
    assert study.error()["class"] in ("DaemonLost", "ContainerKilled", "Interrupted"), study.error()
    assert own_docker.containers() == []


def test_a_daemon_that_stays_away_is_waited_for_once(llem, own_docker, terminal):
    t = begin_three(llem, terminal, own_docker)
    own_docker.kill()
    wait_until(lambda: "waiting up to" in t.text, what="the notice")
    began = time.monotonic()
    assert t.wait(60) == 1, t.text
    assert 15 < time.monotonic() - began < 40
    assert t.text.count("waiting up to") == 1, t.text
    study = the_study(llem.folder / "results")
    assert study.states() == ["failed"] * 3
    assert [study.error(i)["class"] for i in (1, 2)] == ["DaemonNotRunning"] * 2


def test_ctrl_c_while_a_daemon_is_waited_for(llem, own_docker, terminal):
    t = begin_three(llem, terminal, own_docker)
    own_docker.kill()
    wait_until(lambda: "waiting up to" in t.text, what="the notice")
    began = time.monotonic()
    t.ctrl_c()
    assert t.wait() == 130, t.text
    assert time.monotonic() - began < 5
    study = the_study(llem.folder / "results")
    assert study.states() == ["failed"]  # the others were not begun


def support_alive(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"


def test_a_daemon_that_hangs(llem, own_docker, terminal):
    """It answers nobody: the worker stops all the same, and llem does not wait for ever."""
    t = begin(llem, terminal, own_docker.image("base"))
    wait_for_phase(llem, "measure")
    worker, daemon = pid_of(own_docker, "llem-worker"), own_docker.pid()
    os.kill(daemon, signal.SIGSTOP)
    try:
        t.ctrl_c()
        wait_until(lambda: not Path(f"/proc/{worker}").exists() or not support_alive(worker), 10, "the end of the worker")
        assert t.wait(40) == 130, t.text
    finally:
        os.kill(daemon, signal.SIGCONT)
    study = the_study(llem.folder / "results")
    assert study.states() == ["interrupted"]
    assert study.error()["phase"] == "measure"
    wait_until(lambda: not own_docker.containers(), 20, "the removal of the container")


def test_kill_9_of_llem_and_its_client_at_once(llem, docker, image, terminal):
    """Nobody tells the container anything: its worker finds the lock free."""
    t = begin(llem, terminal, image)
    wait_for_phase(llem, "measure")
    client = next(p.pid for p in support.processes_marked(llem.mark) if " run " in p.command and "docker" in p.command)
    os.kill(client, signal.SIGKILL)
    t.process.kill()
    t.wait()
    wait_until(lambda: not docker.containers(), 20, "the end of the container")
    [record] = [json.loads(p.read_text()) for p in of_the_run(llem, "*_error.json")]
    assert record["class"] == "Interrupted" and record["phase"] == "measure"


def test_logs_of_worker_and_client_are_bounded(llem, docker, image, terminal):
    t = begin(llem, terminal, image, {"sim.fail": "crash", "sim.fail_at": 50})
    wait_for_phase(llem, "measure")
    for name in ("worker.log", "client.log"):
        [path] = of_the_run(llem, name)
        with open(path, "a") as file:
            file.write("flood\n" * (2 << 20))
    assert t.wait() == 1, t.text
    study = the_study(llem.folder / "results")
    for name in ("worker.log", "client.log"):
        text = (study.runs[0] / name).read_text()
        assert len(text) < 1 << 20 and "bytes left out" in text
