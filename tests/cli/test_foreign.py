"""Who else is at work on the machine: others' CPU time, others on the run's boards, an engine that idles differently
before and after the work. The board is a simulated one; the engine's pid reaches its list of processes by a file."""

import json
import os
import subprocess

import pytest

import toy
from studies import check_records, metric, the_study, write

pytestmark = pytest.mark.timing

OTHER_UUID = "GPU-11111111-0000-4000-8000-000000000000"
WORK = {"max_output_tokens": 24, "n": 1, "energy.modelled": False, "energy.max_repeats": 1, "warmup.enabled": False,
        "memory_gate.settle_seconds": 0}
SCRIPT = {"sim.device": "gpu", "sim.token_us": 43000}


def board(**more):
    return {"load": [{"type": "constant", "watts": 200}], "average": {"window_ms": 1000}, **more}


@pytest.fixture
def run(llem, build_dir, tmp_path):
    """run(devices, fields): the record of WORK beside simulated boards. The engine is the scripted one unless the fields
    name another; its pid is in the file `engine.pid`."""
    engine = next(p for p in build_dir.rglob("llem-engine-sim") if p.is_file())
    wrapper = tmp_path / "engine"
    wrapper.write_text(f'#!/bin/sh\necho $$ > "{tmp_path}/engine.pid"\nexec "{engine}"\n')
    wrapper.chmod(0o755)
    llem.env |= {"LLEM_ENGINE_SIM": str(wrapper), "LLEM_NVML_SIM": str(tmp_path / "boards.json"),
                 "LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so")}

    def go(devices, fields=None):
        (tmp_path / "boards.json").write_text(json.dumps({"devices": devices}))
        script = {} if fields and "backend" in fields else SCRIPT
        llem.ok("run", write(tmp_path / "s.yaml", {**WORK, **script, **(fields or {})}), "-o", tmp_path / "results", timeout=150)
        study = the_study(tmp_path / "results")
        check_records(llem, study)
        return study.result()

    return go


ENGINE = {"pid_file": "engine.pid", "memory_mib": 1000}


def other():
    """A process that is there and is none of the run's."""
    return {"pid": os.getpid(), "memory_mib": 500}


def test_another_process_on_the_board_is_told(run):
    record = run([board(processes=[ENGINE, other()])])
    assert "foreign_gpu_process" in record["flags"]
    assert record["machine"]["foreign_gpu_pids"] == [os.getpid()]
    assert metric(record, "energy_j")["value"] is not None  # told, not thrown away


def test_one_that_came_and_went_is_told(run):
    """It is in neither list around the block; the driver's count of processes in between has it."""
    record = run([board(processes=[ENGINE, {**other(), "from_s": 4, "to_s": 5}])])
    assert "foreign_gpu_process" in record["flags"]
    assert record["machine"]["foreign_gpu_pids"] == []
    assert record["machine"]["gpus"][0]["processes_most"] == 2


@pytest.mark.parametrize("devices", [
    [board(processes=[ENGINE])],
    [board(processes=[ENGINE]), board(uuid=OTHER_UUID, processes=[other()])],
], ids=["alone", "on another board"])
def test_an_engine_alone_on_its_board_has_no_such_flag(run, devices):
    record = run(devices)
    assert "foreign_gpu_process" not in record["flags"]
    assert record["machine"]["foreign_gpu_pids"] == []
    assert len(record["machine"]["boards"]) == 1 and record["machine"]["boards"] != [OTHER_UUID]


def test_a_list_without_the_engine_accuses_nobody(run):
    """In a container the driver's pids are others: who is foreign cannot be told, so nobody is called so."""
    record = run([board(processes=[other(), {"pid": 4242, "memory_mib": 1000}])])
    assert "foreign_gpu_process" not in record["flags"]
    assert not record["machine"]["foreign_gpu_pids"]


@pytest.fixture
def busy_machine():
    """Loops enough for a fifth of the machine's CPUs, at least one."""
    loops = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(max(1, os.cpu_count() // 5))]
    yield
    for loop in loops:
        loop.kill()
        loop.wait()


def test_others_cpu_time_is_told(run, busy_machine):
    record = run([board()], {"max_output_tokens": 40})
    assert "foreign_cpu" in record["flags"]
    assert 0.02 < record["machine"]["foreign_cpu_share"] <= 1.05
    assert "2 %" in record["flag_meanings"]["foreign_cpu"]


ENGINE_THAT_BURNS = """
import threading

PHASE = {phase!r}
until = [0]

def burn():
    while now() < until[0]:
        pass

def start_burning():
    until[0] = now() + 20_000_000_000
    threading.Thread(target=burn, daemon=True).start()

class Burner(Adapter):
    def on_load(self, config, allow_substitution=False):
        return {{**super().on_load(config, allow_substitution), "device": "gpu"}}

    def on_prepare(self, batch, requests):
        if PHASE == "before":
            start_burning()
        return super().on_prepare(batch, requests)

    def on_generate(self, batches):
        until[0] = 0
        reply = super().on_generate(batches)
        if PHASE == "after":
            start_burning()
        return reply

fd = int(os.environ.pop("LLEM_ENGINE_FD"))
os.set_inheritable(fd, False)
Burner(socket.socket(fileno=fd)).serve()
"""


@pytest.mark.parametrize("phase", ["before", "after", "never"])
def test_an_engine_that_burns_cpu_time_in_one_guard(run, llem, phase):
    """The example adapter of the documentation, an engine of its own, made to spin after prepare or after generate."""
    example = toy.raw().partition("if __name__")[0]
    toy.install(llem, "burner", f"{example}{ENGINE_THAT_BURNS.format(phase=phase)}")
    record = run([board()], {"backend": "burner", "burner.token_us": 43000})
    before, after = record["machine"]["guard_cores_pre"], record["machine"]["guard_cores_post"]
    assert ("guard_cpu_drift" in record["flags"]) == (phase != "never")
    if phase == "before":
        assert before > after + 0.2
    if phase == "after":
        assert after > before + 0.2
