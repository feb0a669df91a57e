"""Boards and the memory gate with a real daemon: a container is given the boards of its run and no other, and none is
started while their memory is occupied. The boards are the simulator's, which the toolkit's stand-in puts inside."""

import json
import shutil
import subprocess

import pytest

from studies import check_records, metric, the_study, write

UUIDS = [f"GPU-00000000-0000-4000-8000-{i:012d}" for i in range(3)]
QUICK = {"sim.device": "gpu", "sim.token_us": 20000, "max_output_tokens": 8, "n": 1, "warmup.enabled": False,
         "energy.modelled": False, "energy.max_repeats": 1, "runners.sim.environment": ["LLEM_NVML_SIM"]}


@pytest.fixture
def run(docker, llem, build_dir, tmp_path):
    """run(devices, fields, expect): what became of a run in a container beside these boards."""
    sim, folder = build_dir / "libexec" / "llem" / "engines" / "sim", tmp_path / "engines" / "sim"
    folder.mkdir(parents=True)
    descriptor = json.loads((sim / "engine.json").read_text()) | {"record_env": ["CUDA_VISIBLE_DEVICES"]}
    (folder / "engine.json").write_text(json.dumps(descriptor))
    shutil.copy(sim / "llem-engine-sim", folder)
    script = tmp_path / "boards.json"
    llem.env |= {"LLEM_ENGINES_PATH": str(tmp_path / "engines"), "LLEM_NVML_SIM": str(script),
                 "LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so")}

    def go(devices, fields=None, expect=0, *arguments):
        boards = [{"load": [{"type": "constant", "watts": 100 * (i + 1)}], **d} for i, d in enumerate(devices)]
        script.write_text(json.dumps({"devices": boards}))
        path = write(tmp_path / "s.yaml", {**QUICK, "runners.sim.use": f"docker:{docker.image('base')}", **(fields or {})},
                     execution={"n_cycles": 1})
        done = llem.run("run", path, *arguments, "-o", tmp_path / "results", timeout=150)
        assert done.returncode == expect, done.stdout + done.stderr
        study = the_study(tmp_path / "results")
        check_records(llem, study)
        return done, study

    return go


@pytest.mark.parametrize("chosen", [[1], [2, 0]])
def test_a_container_has_the_boards_of_its_run_and_no_other(run, chosen):
    _, study = run([{}, {}, {}], {"gpus": [UUIDS[i] for i in chosen]})
    record = study.result()
    uuids = [UUIDS[i] for i in chosen]
    assert record["context"]["runner"] == "docker"
    assert record["context"]["boards"] == record["machine"]["boards"] == uuids
    assert sorted(d["uuid"] for d in record["environment"]["gpus"]["devices"]) == sorted(uuids)  # all that are inside
    assert record["engine"]["variables"]["CUDA_VISIBLE_DEVICES"] == ",".join(uuids)
    watts = metric(record, "energy_j")["value"] / record["energy"]["scopes"][0]["duration_s"]
    assert watts == pytest.approx(sum(100 * (i + 1) for i in chosen), rel=0.02)
    assert record["context"]["memory_gate"]["verdict"] == "free"
    assert [b["uuid"] for b in record["context"]["memory_gate"]["boards"]] == uuids


def test_who_holds_memory_is_named_by_the_host(run):
    """The gate stands outside of the container, where the driver's pids are those of processes that can be seen."""
    holder = subprocess.Popen(["sleep", "600"])
    try:
        held = {"processes": [{"pid": holder.pid, "memory_mib": 400, "holds": True}]}
        done, study = run([held], {"memory_gate.settle_seconds": 0.3})
    finally:
        holder.kill()
        holder.wait()
    assert f"sleep (pid {holder.pid} of " in done.stderr
    record = study.result()
    assert "memory_occupied" in record["flags"]
    assert record["context"]["memory_gate"]["boards"][0]["holders"][0]["name"] == "sleep"


def test_a_refused_run_starts_no_container(run, docker):
    """What looks at the place of runs starts one of its own: not here."""
    started = docker.ok("events", "--since", "0", "--until", "0s", "--filter", "event=start")
    _, study = run([{"memory": [[0, 900]]}], {"memory_gate.settle_seconds": 0, "memory_gate.action": "refuse"}, 1,
                   "--skip-preflight")
    assert study.states() == ["refused"] and "944 MB" in study.journal[-1]["message"]
    after = docker.ok("events", "--since", "0", "--until", "0s", "--filter", "event=start", "--filter",
                      f"label=org.llenergymeasure.study={study.description.get('name', 's')}")
    assert not [line for line in after.splitlines() if line not in started.splitlines()]
