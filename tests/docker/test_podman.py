"""The same study by podman, through the command line: its result, its boards, its ends."""

import json
import os
import signal
import time
from pathlib import Path

import podman as podmen
import pytest
import support
from studies import check_records, the_study, write
from terminal import Terminal

LABEL = "label=org.llenergymeasure.run=1"
SLOW = {"n": 2, "sim.load_ms": 500, "sim.token_us": 100000, "max_output_tokens": 60, "warmup.enabled": False}


def use(podman, llem):
    llem.env = {k: v for k, v in llem.env.items() if not k.startswith("DOCKER_")} | podman.env()
    yield podman
    left = ours(podman, llem)
    if left:
        podman.run("rm", "-f", "-t", "0", *left)
    assert not left


@pytest.fixture
def podman(docker, llem, build_dir):
    yield from use(podmen.Podman(build_dir / "podman", docker), llem)


@pytest.fixture
def lone_podman(docker, llem, tmp_path_factory):
    """With a store of its own: in a shared one any other test's start would sweep what this one leaves."""
    podman = podmen.Podman(tmp_path_factory.mktemp("podman"), docker)
    yield from use(podman, llem)
    podmen.end(podman)


@pytest.fixture
def image(podman):
    return podman.image("base")


def ours(podman, llem):
    """Ids of containers with our label and a mount below this test's folder."""
    ids = podman.ok("ps", "-aq", "--no-trunc", "--filter", LABEL).split()
    done = podman.run("inspect", *ids) if ids else None
    found = json.loads(done.stdout or "[]") if done else []
    return [c["Id"] for c in found if any(m.get("Source", "").startswith(str(llem.folder)) for m in c["Mounts"])]


def begin(llem, image, fields=None):
    path = write(llem.folder / "study.yaml", {**SLOW, "runners.sim.use": f"podman:{image}", **(fields or {})})
    return Terminal(llem.command("run", path, "-o", llem.folder / "results"), cwd=llem.folder, env=llem.env)


def wait_until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def measuring(llem):
    return any('"measure"' in p.read_text() for p in (llem.folder / "results").glob("*/.exchange-*/progress.jsonl"))


def test_a_study(llem, podman, image):
    path = write(llem.folder / "study.yaml", {"runners.sim.use": f"podman:{image}"})
    done = llem.run("run", path, "-o", llem.folder / "results")
    assert done.returncode == 0, done.stdout + done.stderr
    study = the_study(llem.folder / "results")
    check_records(llem, study)
    context = study.result()["context"]
    assert (context["runner"], context["client"], context["image"]) == ("podman", "podman", image)
    assert context["image_id"] == podman.docker.image_id(image)
    assert ours(podman, llem) == []


def test_files_are_the_callers(llem, podman, image):
    """As a user whom the image does not know, by number."""
    path = write(llem.folder / "study.yaml", {"runners.sim.use": f"podman:{image}"})
    llem.ok("run", path, "-o", llem.folder / "results")
    for file in (llem.folder / "results").rglob("*"):
        assert (file.stat().st_uid, file.stat().st_gid) == (os.getuid(), os.getgid()), file


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt(llem, podman, image, number):
    terminal = begin(llem, image)
    try:
        wait_until(lambda: measuring(llem))
        assert len(ours(podman, llem)) == 1
        if number == signal.SIGINT:
            terminal.ctrl_c()
        else:
            terminal.process.send_signal(number)
        assert terminal.wait() == 128 + number, terminal.text
        assert ours(podman, llem) == []
        study = the_study(llem.folder / "results")
        assert study.states() == ["interrupted"] and study.error()["class"] == "Interrupted"
        assert study.error()["phase"] == "measure"  # the worker's own record
    finally:
        terminal.close()


def test_kill_9_of_llem_and_the_next_start(llem, lone_podman):
    """The client dies as well and the worker is deaf: the next start sweeps."""
    podman, image = lone_podman, lone_podman.image("base")
    terminal = begin(llem, image)
    try:
        wait_until(lambda: measuring(llem))
        [container] = ours(podman, llem)
        inside = podman.ok("top", container, "hpid,args").splitlines()[1:]
        worker = next(int(line.split()[0]) for line in inside if line.split()[1].endswith("llem-worker"))
        os.kill(worker, signal.SIGSTOP)
        clients = [p for p in support.processes_marked(llem.mark) if "podman" in p.command and " run " in p.command]
        terminal.process.kill()
        for client in clients:
            client.kill()
        terminal.wait()
        assert ours(podman, llem) == [container]
        path = write(llem.folder / "next.yaml", {"runners.sim.use": f"podman:{image}"})
        done = llem.run("run", path, "-o", llem.folder / "next")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "removed 1 container" in done.stderr + done.stdout
        assert ours(podman, llem) == []
    finally:
        terminal.close()


def suspend(llem, podman, image):
    path = write(llem.folder / "study.yaml", {**SLOW, "runners.sim.use": f"podman:{image}", "max_output_tokens": 20})
    process = llem.start("run", path, "-o", llem.folder / "results", process_group=0)
    wait_until(lambda: measuring(llem))
    os.killpg(process.pid, signal.SIGTSTP)
    wait_until(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", 10)
    [container] = ours(podman, llem)
    assert podman.ok("inspect", "-f", "{{.State.Status}}", container) == "paused"
    return process


def test_ctrl_z(llem, podman, image):
    process = suspend(llem, podman, image)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, (out, err)
    assert [p["cause"] for p in the_study(llem.folder / "results").result()["machine"]["pauses"]] == ["ctrl_z"]
    assert ours(podman, llem) == []


def test_ctrl_z_and_kill_9(llem, podman, image):
    """podman's client cannot make a paused container hear of the end of llem."""
    process = suspend(llem, podman, image)
    process.kill()
    process.communicate(timeout=10)
    wait_until(lambda: not ours(podman, llem), 20)


def test_killed_from_outside(llem, podman, image):
    terminal = begin(llem, image)
    try:
        wait_until(lambda: measuring(llem))
        podman.ok("kill", ours(podman, llem)[0])
        assert terminal.wait() == 1, terminal.text
        study = the_study(llem.folder / "results")
        assert study.states() == ["failed"] and study.error()["class"] == "ContainerKilled", study.error()
    finally:
        terminal.close()


def test_no_cdi_is_told_and_never_ignored(llem, podman, image):
    """podman takes --gpus and gives nothing, with exit 0: a run that needs a board must not begin that way."""
    fields = {"runners.sim.use": f"podman:{image}", "sim.device": "gpu", "gpus": ["GPU-00000000-0000-4000-8000-000000000000"]}
    path = write(llem.folder / "study.yaml", fields)
    script = llem.folder / "boards.json"
    script.write_text(json.dumps({"devices": [{}]}))
    done = llem.run("run", path, "-o", llem.folder / "results", "--skip-preflight", env=llem.env | {"LLEM_NVML_SIM": str(script)})
    assert done.returncode != 0
    said = done.stdout + done.stderr + "".join(p.read_text() for p in Path(llem.folder / "results").rglob("error.json"))
    assert "CDI" in said or "board" in said or "GPU" in said, said
    assert ours(podman, llem) == []
