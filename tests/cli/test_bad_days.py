"""Whatever dies, fills up or vanishes: a clear message, a typed error in the record, no orphan, no torn file.

The `llem` fixture fails a test that leaves a process behind."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

import support
from studies import check_records, the_study, write

# Slow enough to be caught at work; no warm-up, so that the measured window comes at once.
SLOW = {"sim.token_us": 100000, "max_output_tokens": 64, "n": 4, "warmup.enabled": False}


def run(llem, fields, *arguments, expect, **options):
    path = write(llem.folder / "bad.yaml", fields)
    done = llem.run("run", path, "-o", llem.folder / "results", *arguments, **options)
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    study = the_study(llem.folder / "results")
    check_records(llem, study)
    return done, study


@pytest.mark.parametrize("fault, error_class, said", [
    ("load_error", "EngineError", "SimLoadError"),
    ("load_oom", "EngineError", "memory"),
    ("load_crash", "EngineDied", "signal 11"),
    ("generate_error", "EngineError", "SimError"),
    ("generate_oom", "EngineError", "memory"),
    ("crash", "EngineDied", "signal 11"),
    ("exit", "EngineDied", "status 3"),
    ("early_eof", "EngineDied", ""),
    ("garbage", "ProtocolError", ""),
    ("wrong_counts", "ProtocolError", ""),
    ("wrong_order", "ProtocolError", ""),
    ("outside_window", "ProtocolError", ""),
])
def test_engine_fault_is_a_typed_record(llem, fault, error_class, said):
    done, study = run(llem, {"sim.fail": fault, "sim.fail_at": 2}, expect=1)
    record = study.error()
    assert record["class"] == error_class, record
    assert said in json.dumps(record)
    assert record["message"] in done.stdout
    assert study.states() == ["failed"]


@pytest.mark.parametrize("fault", ["hang", "hang_hard", "load_hang"])
def test_engine_that_hangs_meets_the_deadline(llem, fault):
    done, study = run(llem, {"sim.fail": fault, "sim.fail_at": 2, "limits.timeout_seconds": 2}, expect=1, timeout=90)
    assert study.error()["class"] == "TimeoutError"
    assert "timeout_seconds" in done.stdout


@pytest.mark.parametrize("fault", ["leave_child", "leave_daemon", "no_shutdown", "no_term"])
def test_engine_that_does_not_go_is_made_to(llem, fault):
    _, study = run(llem, {"sim.fail": fault}, expect=0, timeout=90)
    assert study.states() == ["ok"]


def test_log_flood_is_bounded(llem):
    _, study = run(llem, {"sim.fail": "log_flood", "sim.log_mib": 64}, expect=0, timeout=120)
    assert (study.runs[0] / "engine.log").stat().st_size < 10 << 20


def test_other_cells_go_on(llem, tmp_path):
    path = write(tmp_path / "s.yaml", sweep={"sim.fail": ["none", "crash", "load_error"]},
                 execution={"n_cycles": 1, "order": "sequential"})
    done = llem.run("run", path, "-o", tmp_path / "results")
    assert done.returncode == 1
    assert the_study(tmp_path / "results").states() == ["ok", "failed", "failed"]


def wait_for_process(llem, name, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for process in support.processes_marked(llem.mark):
            if name in process.command.split(" ")[0]:
                return process
        time.sleep(0.02)
    raise AssertionError(f"no {name} appeared")


def wait_for_phase(llem, phase, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for path in (llem.folder / "results").rglob("progress.jsonl"):
            if f'"{phase}"' in path.read_text():
                return
        time.sleep(0.02)
    raise AssertionError(f"phase {phase} was not reached")


def start(llem, fields=None):
    path = write(llem.folder / "slow.yaml", {**SLOW, **(fields or {})})
    return llem.start("run", path, "-o", llem.folder / "results")


def finish(llem, process, seconds=60):
    out, err = process.communicate(timeout=seconds)
    deadline = time.monotonic() + 10
    while llem.left_running() and time.monotonic() < deadline:
        time.sleep(0.05)
    study = the_study(llem.folder / "results")
    return out, err, study


def test_engine_killed_in_the_middle(llem):
    process = start(llem)
    wait_for_phase(llem, "measure")
    wait_for_process(llem, "llem-engine-sim").kill()
    out, _, study = finish(llem, process)
    assert process.returncode == 1
    assert study.error()["class"] == "EngineDied"
    assert "signal 9" in out
    check_records(llem, study)


def test_worker_killed_in_the_middle(llem):
    process = start(llem)
    wait_for_phase(llem, "measure")
    wait_for_process(llem, "llem-worker").kill()
    out, _, study = finish(llem, process)
    assert process.returncode == 1
    assert study.error()["class"] == "WorkerDied"
    assert "signal 9" in out
    check_records(llem, study)


def test_llem_killed_leaves_nothing_running(llem):
    """SIGKILL of llem itself: the worker notices, ends its engine and leaves a record in the exchange folder."""
    process = start(llem)
    wait_for_phase(llem, "measure")
    process.kill()
    _, _, study = finish(llem, process)
    assert not llem.left_running()
    exchange = [p for p in study.folder.iterdir() if p.name.startswith(".exchange")]
    assert len(exchange) == 1
    records = list(exchange[0].glob("*_error.json"))
    assert len(records) == 1
    assert json.loads(records[0].read_text())["class"] == "Interrupted"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("phase", ["sensors", "engine start", "load", "tokenize", "warm-up", "measure"])
def test_interrupt_in_every_phase(llem, number, phase):
    process = start(llem, {"sim.load_ms": 300, "warmup.enabled": phase == "warm-up"})
    wait_for_phase(llem, phase)
    process.send_signal(number)
    out, err, study = finish(llem, process)
    assert process.returncode == 130, (out, err)
    assert study.states() == ["interrupted"]
    assert study.error()["class"] in ("Interrupted", "WorkerDied")
    check_records(llem, study)


def ignoring(*numbers):
    """What a child does before it becomes llem, to be started as nohup or a script's `cmd &` start it."""
    return lambda: [signal.signal(number, signal.SIG_IGN) for number in numbers]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_it_was_told_to_ignore_is_ignored(llem, number):
    path = write(llem.folder / "slow.yaml", {**SLOW, "n": 1, "max_output_tokens": 8})
    process = llem.start("run", path, "-o", llem.folder / "results", preexec_fn=ignoring(number))
    wait_for_phase(llem, "measure")
    process.send_signal(number)
    out, err, study = finish(llem, process)
    assert process.returncode == 0, (out, err)
    assert study.states() == ["ok"]


def test_its_own_ignored_sigterm_does_not_shield_the_worker(llem):
    """llem ends its worker by SIGTERM; that llem itself ignores it must not go down to the worker."""
    path = write(llem.folder / "slow.yaml", SLOW)
    process = llem.start("run", path, "-o", llem.folder / "results", preexec_fn=ignoring(signal.SIGTERM))
    wait_for_phase(llem, "measure")
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, _, study = finish(llem, process)
    assert time.monotonic() - began < 15  # the grace before SIGKILL is 30 s
    assert process.returncode == 130
    check_records(llem, study)


def test_children_of_the_shell_that_became_llem_are_spared(llem, tmp_path):
    path = write(tmp_path / "t.yaml")
    script = 'sleep 300 >/dev/null 2>&1 & echo $! > pid; exec "$@"'
    done = subprocess.run(["sh", "-c", script, "sh", *llem.command("run", path, "-o", tmp_path / "results")],
                          cwd=tmp_path, env=llem.env, capture_output=True, text=True, timeout=60)
    pid = int((tmp_path / "pid").read_text())
    assert done.returncode == 0, done.stderr
    os.kill(pid, 0)
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while llem.left_running() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_second_interrupt_does_not_wait(llem):
    process = start(llem, {"sim.fail": "hang_hard", "sim.fail_at": 2})
    wait_for_phase(llem, "measure")
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, _, study = finish(llem, process)
    assert time.monotonic() - began < 8
    assert process.returncode == 130
    check_records(llem, study)


def test_interrupted_study_keeps_what_was_done(llem, tmp_path):
    path = write(tmp_path / "s.yaml", {"sim.token_us": 20000, "max_output_tokens": 32},
                 sweep={"sim.threads": [1, 2, 3, 4]}, execution={"n_cycles": 1, "order": "sequential"})
    process = llem.start("run", path, "-o", tmp_path / "results")
    end = time.monotonic() + 60
    while time.monotonic() < end and not list((tmp_path / "results").rglob("001_*/result.json")):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, _, study = finish(llem, process)
    assert process.returncode == 130
    assert study.states()[0] == "ok"
    assert "interrupted" in out and "not run" in out
    check_records(llem, study)


@pytest.fixture
def small_disk(tmp_path):
    """A tmpfs of 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"needs:tmpfs {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(folder):
    """Writes until not a page is left."""
    with open(folder / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass


def test_full_disk(llem, tmp_path, small_disk):
    """The disk fills up during the study: an error that names the disk, and no torn record."""
    path = write(tmp_path / "t.yaml")
    fill(small_disk)
    done = llem.run("run", path, "-o", small_disk / "results")
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    for record in Path(small_disk).rglob("*.json"):
        json.loads(record.read_text())


def test_disk_fills_in_the_middle(llem, tmp_path, small_disk):
    path = write(tmp_path / "t.yaml", SLOW)
    process = llem.start("run", path, "-o", small_disk / "results")
    end = time.monotonic() + 60
    while time.monotonic() < end and not any('"measure"' in p.read_text() for p in small_disk.rglob("progress.jsonl")):
        time.sleep(0.02)
    fill(small_disk)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "No space left on device" in out + err or process.returncode == 130
    for record in Path(small_disk).rglob("*.json"):
        json.loads(record.read_text())


def test_results_folder_not_writable(llem, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = llem.run("run", write(tmp_path / "t.yaml"), "-o", blocked / "results")
    assert done.returncode == 1
    assert str(blocked) in done.stderr


def test_worker_missing(llem, tmp_path):
    done, study = run(llem, {}, expect=1, env={"LLEM_WORKER": "/nonexistent"})
    assert "cannot start the worker" in done.stdout
    assert study.error()["class"] == "RunnerError"
    assert study.states() == ["failed"]


def test_adapter_missing(llem, tmp_path):
    done = llem.run("run", write(tmp_path / "t.yaml"), "-o", tmp_path / "results",
                    env={"LLEM_ENGINE_SIM": str(tmp_path / "nowhere")})
    assert done.returncode == 1
    assert "LLEM_ENGINE_SIM" in done.stdout
    assert os.path.isdir(tmp_path / "results")
