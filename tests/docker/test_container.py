"""What a run's container is: which image, which files, who it is inside, which variables, and what its result says."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

import support
from studies import check_records, metric, the_study, write

SLOW = {"n": 1, "sim.token_us": 200000, "max_output_tokens": 20}


@pytest.fixture
def image(docker):
    return docker.image("base")


def write_study(llem, image, fields=None, **more):
    return write(llem.folder / "study.yaml", {"runners.sim.use": f"docker:{image}", **(fields or {})}, **more)


def run(llem, image, fields=None, *arguments, expect=0, **options):
    done = llem.run("run", write_study(llem, image, fields), "-o", llem.folder / "results", *arguments, **options)
    assert done.returncode == expect, done.stdout + done.stderr
    return the_study(llem.folder / "results")


def look_inside(llem, docker, image, fields=None, env=None):
    """`docker inspect` of the container of a run that is measuring; the run then ends by itself."""
    process = llem.start("run", write_study(llem, image, {**SLOW, **(fields or {})}), "-o", llem.folder / "results",
                         env=env or {})
    end = time.monotonic() + 60
    while not support.any_says(llem.folder, "progress.jsonl", '"measure"'):
        assert time.monotonic() < end and process.poll() is None, process.communicate()
        time.sleep(0.02)
    [container] = docker.containers()
    [found] = docker.json("inspect", container)
    found["commands"] = [p.command for p in support.processes_marked(llem.mark)]
    found["inside"] = [line.split(None, 1)[1] for line in docker.ok("top", container, "-eo", "pid,args").splitlines()[1:]]
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, out + err
    return found


def test_the_same_kind_of_result_as_locally(llem, docker, image):
    study = run(llem, image)
    check_records(llem, study)
    ours = study.result()
    local = write(llem.folder / "local.yaml")
    assert llem.run("run", local, "-o", llem.folder / "local").returncode == 0
    theirs = the_study(llem.folder / "local").result()
    assert ours.keys() == theirs.keys()
    assert ours["identity"]["config_hash"] == theirs["identity"]["config_hash"]
    for name in ("input_ids_sha256", "output_ids_sha256"):
        assert ours["workload"][name] == theirs["workload"][name], name
    for name in ("tokens_in", "tokens_out"):
        assert metric(ours, name)["value"] == metric(theirs, name)["value"] > 0, name
    # A machine that has RAPL shows it to the host alone: then its files are there too.
    beside = {"host_energy.json", "host_trace.csv.gz"}
    assert {p.name for p in study.runs[0].iterdir()} - beside == {
        p.name for p in the_study(llem.folder / "local").runs[0].iterdir()}


def test_the_image_is_in_the_result(llem, docker):
    name = docker.image("base", name="llem-test/labelled", labels={"org.example.x": "y"})
    context = run(llem, name).result()["context"]
    [found] = docker.json("image", "inspect", name)
    assert context["runner"] == "docker" and context["client"] == "docker"
    assert context["image"] == name
    assert context["image_id"] == found["Id"]
    assert "image_digest" not in context  # it was never in a registry
    assert context["image_labels"]["org.example.x"] == "y"
    assert re.fullmatch(r"llem-[0-9a-f]{8}-\d+-[0-9a-f]{8}", context["container"])


def test_one_container_per_run_and_none_afterwards(llem, docker, image):
    path = write_study(llem, image, sweep={"sim.threads": [1, 2]}, execution={"n_cycles": 2})
    assert llem.run("run", path, "-o", llem.folder / "results", timeout=120).returncode == 0
    study = the_study(llem.folder / "results")
    names = [study.result(i)["context"]["container"] for i in range(4)]
    assert len(set(names)) == 4
    assert docker.containers() == []


def test_what_runs_inside_is_the_worker_alone(llem, docker, image, build_dir):
    found = look_inside(llem, docker, image)
    assert found["Path"] == "/opt/llem/bin/llem-worker" and found["Args"] == []
    programs = sorted(os.path.basename(line.split()[0]) for line in found["inside"])
    assert programs == ["docker-init", "llem-engine-sim", "llem-worker"]
    mounts = {m["Destination"]: m for m in found["Mounts"]}
    assert not mounts["/opt/llem/bin/llem-worker"]["RW"] and not mounts["/opt/llem/engines/sim"]["RW"]
    assert mounts["/run/llem"]["RW"] and ".exchange-" in mounts["/run/llem"]["Source"]
    assert all(m["Type"] == "bind" for m in mounts.values())
    assert not any(Path(m["Source"]).name == "llem" and Path(m["Source"]).is_file() for m in mounts.values())
    # It is the orchestrator of one experiment, and has nothing of studies, runners or the command line.
    worker = Path(mounts["/opt/llem/bin/llem-worker"]["Source"])
    symbols = subprocess.run(["nm", worker], capture_output=True, text=True, check=True).stdout
    assert " experiment_run\n" in symbols
    for other in ("study_execute", "flight_start", "runner_new", "cli_commands", "container_run_argv"):
        assert f" {other}\n" not in symbols


def test_flags_and_labels(llem, docker, image):
    found = look_inside(llem, docker, image)
    host, config = found["HostConfig"], found["Config"]
    assert host["ShmSize"] == 8 << 30
    assert host["Init"] and host["AutoRemove"]
    assert host["LogConfig"]["Type"] == "none"
    assert found["Image"].startswith("sha256:") and config["Image"] == found["Image"]  # by id, not by name
    assert config["User"] == f"{os.getuid()}:{os.getgid()}"
    assert config["Hostname"] == os.uname().nodename
    labels = {k.rpartition(".")[2]: v for k, v in config["Labels"].items() if k.startswith("org.llenergymeasure.")}
    study = the_study(llem.folder / "results")
    boot, _, ticks, _ = labels["owner"].split(":")
    assert labels["run"] == "1" and labels["user"] == str(os.getuid())
    assert labels["config"] == study.cells[0]["hash"]
    assert boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip() and int(ticks) > 0
    [command] = [c for c in found["commands"] if " run " in c and "--rm" in c]
    assert "--pull never" in command or "--pull=never" in command
    assert "--gpus" not in command


def test_settings(llem, docker, image):
    (llem.folder / "data").mkdir()
    found = look_inside(llem, docker, image, {
        "runners.sim.shm_size": "1g", "runners.sim.memory": "512m", "runners.sim.cpus": 1.5, "runners.sim.network": "none",
        "runners.sim.ipc": "private", "runners.sim.ulimits": ["core=0"], "runners.sim.mounts": [f"{llem.folder}/data:/data"],
        "runners.sim.environment": ["SHOWN=yes"], "runners.sim.arguments": ["--cap-drop=ALL"],
    })
    host = found["HostConfig"]
    assert host["ShmSize"] == 1 << 30 and host["Memory"] == 512 << 20 and host["NanoCpus"] == 1500000000
    assert host["NetworkMode"] == "none" and host["IpcMode"] == "private" and host["CapDrop"] == ["ALL"]
    assert {"Name": "core", "Hard": 0, "Soft": 0} in host["Ulimits"]
    assert "SHOWN=yes" in found["Config"]["Env"]
    assert any(m["Destination"] == "/data" and not m["RW"] for m in found["Mounts"])


def test_listed_variables_alone_go_in(llem, docker, image):
    env = {"UNLISTED": "stays-here", "https_proxy": "http://proxy:1", "FROM_HERE": "listed"}
    found = look_inside(llem, docker, image, {"runners.sim.environment": ["FROM_HERE", "NOT_SET"]}, env=env)
    inside = dict(line.split("=", 1) for line in found["Config"]["Env"])
    assert "UNLISTED" not in inside and "NOT_SET" not in inside
    assert inside["https_proxy"] == "http://proxy:1" and inside["FROM_HERE"] == "listed"
    assert inside["HOME"] == "/llem/home" and inside["XDG_CACHE_HOME"] == "/llem/home/.cache" and inside["USER"]
    study = the_study(llem.folder / "results")
    assert inside["LLEM_CONFIG_PATH"] == f"/run/llem/{study.cells[0]['hash']}_config.json"


def test_a_secret_is_nowhere_but_inside(llem, docker, image, monkeypatch):
    secret = "hf_ThisIsNobodysBusiness"
    found = look_inside(llem, docker, image, env={"HF_TOKEN": secret})
    assert f"HF_TOKEN={secret}" in found["Config"]["Env"]  # the engine has it
    assert secret not in json.dumps({k: found[k] for k in ("Path", "Args", "commands", "inside")} | found["Config"]["Labels"])
    for path in [*llem.folder.rglob("*"), *Path("/tmp").glob("llem-*")]:
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
    assert secret not in Path(docker.log).read_text(errors="replace")


def test_a_moved_tag_is_told(llem, docker):
    first = docker.image("base", name="llem-test/moving", labels={"v": "1"})
    [before] = docker.json("image", "inspect", first)
    path = write_study(llem, first, {**SLOW, "max_output_tokens": 8}, sweep={"sim.threads": [1, 2]}, execution={"n_cycles": 1})
    process = llem.start("run", path, "-o", llem.folder / "results")
    while not list((llem.folder / "results").glob("*/.exchange-*/owner.lock")):  # the first run; preflight's is elsewhere
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    docker.ok("tag", docker.image("base"), first)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    study = the_study(llem.folder / "results")
    contexts = [study.result(i)["context"] for i in range(2)]
    assert {c["image_id"] for c in contexts} == {before["Id"]}  # both of the first one
    assert "image_moved" not in contexts[0]
    assert contexts[1]["image_moved"] not in (None, before["Id"])
    assert "another image" in out + err



def test_a_user_whom_the_image_does_not_know(llem, docker, image, build_dir):
    """The uid has no line in the image's /etc/passwd: files are the caller's, caches can be written."""
    uid = 45678
    for folder in [llem.folder, *llem.folder.rglob("*")]:
        os.chown(folder, uid, uid)
    for above in llem.folder.parents:
        if above.stat().st_mode & 0o005 != 0o005 and str(above).startswith("/tmp/"):
            above.chmod(above.stat().st_mode | 0o055)
    os.chown(docker.socket, -1, uid)  # for this user alone: another test is about those who may not
    path = write_study(llem, image)
    done = llem.run("run", path, "-o", llem.folder / "results", user=uid, group=uid, extra_groups=[])
    assert done.returncode == 0, done.stdout + done.stderr
    study = the_study(llem.folder / "results")
    for path in study.folder.rglob("*"):
        assert path.stat().st_uid == uid, path
    assert not list(study.folder.glob(".exchange-*"))


def test_a_failed_run_keeps_its_logs(llem, docker, image):
    study = run(llem, image, {"sim.fail": "crash", "sim.fail_at": 1}, expect=1)
    assert study.error()["class"] == "EngineDied"
    assert "segmentation fault on request" in (study.runs[0] / "engine.log").read_text()
    assert (study.runs[0] / "worker.log").exists()


def test_logs_are_bounded(llem, docker, image):
    study = run(llem, image, {"sim.fail": "log_flood", "sim.fail_at": 1, "sim.log_mib": 64})
    assert all(p.stat().st_size < 9 << 20 for p in study.runs[0].iterdir())


def test_client_calls_of_a_run(llem, docker, image):
    """A run that ends well costs `docker run` and one look at what its image's name means by now."""
    calls = llem.folder / "calls"
    client = llem.folder / "docker"
    client.write_text(f'#!/bin/sh\necho "$1 $2" >> {calls}\nexec docker "$@"\n')
    client.chmod(0o755)
    fields = {"runners.sim.client": str(client), "n": 1, "max_output_tokens": 2}
    path = write_study(llem, image, fields, sweep={"sim.threads": [1, 2, 3]}, execution={"n_cycles": 1})
    done = llem.run("run", path, "-o", llem.folder / "results", "--skip-preflight", timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    said = calls.read_text().splitlines()
    first = next(i for i, call in enumerate(said) if call.startswith("run "))
    last = len(said) - next(i for i, call in enumerate(reversed(said)) if call.startswith("run "))
    during = said[first:last]
    assert during.count("run --rm") == 3, said
    assert len(during) == 5 and during.count("image inspect") == 2, said  # between the first start and the last
    assert said[last:] == []
