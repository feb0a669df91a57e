"""Whatever dies, fills up or vanishes: a clear message, a typed error in the record, no orphan, no torn file.

The `llem` fixture fails a test that leaves a process behind."""

import json
import os
import re
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
    ("wrong_clock_of_window", "ProtocolError", "outside the time between request and reply"),
    ("no_length", "ProtocolError", "are no window"),
    ("wrong_sum", "ProtocolError", "generate had counted"),
    ("foreign_stamps", "ProtocolError", "is it CLOCK_MONOTONIC?"),
    ("stamps_order", "ProtocolError", "scheduled_ns lies before"),
    ("no_tokens", "ProtocolError", "not one token came out"),
    ("all_cached", "ProtocolError", "did not say 'prefix_cache'"),
    ("over_cached", "ProtocolError", "did not say 'prefix_cache'"),
    ("load_backwards", "ProtocolError", "between request and reply"),
    ("remote", "ProtocolError", "is reserved"),
])
def test_engine_fault_is_a_typed_record(llem, fault, error_class, said):
    done, study = run(llem, {"sim.fail": fault, "sim.fail_at": 2}, expect=1)
    record = study.error()
    assert record["class"] == error_class, record
    assert said in json.dumps(record)
    assert record["message"] in done.stdout
    assert study.states() == ["failed"]


@pytest.mark.parametrize("prompts, shares", [(["a b c d", "e f g h"], 0), (["a b c d", "a b x y"], 2), (["a b c d", "a b c d"], None)])
def test_a_cache_has_no_more_than_other_prompts_share(llem, prompts, shares):
    """What the engine says of its cache is held to the prompts that it was given since it was emptied."""
    (llem.folder / "p.jsonl").write_text("".join(json.dumps({"prompt": p}) + "\n" for p in prompts))
    fields = {"sim.prefix_cache": True, "sim.fail": "over_cached", "dataset": "./p.jsonl", "n": 2, "warmup.enabled": False}
    done, study = run(llem, fields, expect=0 if shares is None else 1)
    if shares is None:
        assert study.states() == ["ok"]
    else:
        assert study.error()["class"] == "ProtocolError"
        assert f"n_cached is more than {shares}, all that its prompt shares" in study.error()["message"], study.error()


@pytest.mark.parametrize("fields, said", [
    ({"sim.fail": "same_answer"}, True),
    ({"sim.fail": "same_answer", "max_output_tokens": 7}, False),  # too short to tell
    ({"sim.fail": "same_answer", "n": 2}, False),
    ({}, False),
])
def test_one_answer_to_every_prompt_is_told(llem, fields, said):
    done, study = run(llem, {"n": 3, "max_output_tokens": 8, **fields}, expect=0)
    assert ("same_answer" in study.result()["flags"]) == said
    assert ("same_answer" in done.stdout) == said


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
        if support.any_says(llem.folder / "results", "progress.jsonl", f'"{phase}"'):
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
    assert study.error()["engine_error"]["oom"] is False
    assert "signal 9" in out
    check_records(llem, study)


def test_engine_killed_for_its_memory(llem):
    """The kernel's counter of OOM kills goes up with the kill; the file of the test stands for /proc/vmstat."""
    vmstat = llem.folder / "system" / "proc" / "vmstat"
    vmstat.parent.mkdir(parents=True)
    vmstat.write_text("oom_kill 7\n")
    llem.env["LLEM_SYSROOT"] = str(llem.folder / "system")
    process = start(llem)
    wait_for_phase(llem, "measure")
    vmstat.write_text("oom_kill 8\n")
    wait_for_process(llem, "llem-engine-sim").kill()
    out, _, study = finish(llem, process)
    record = study.error()
    assert process.returncode == 1
    assert record["class"] == "EngineDied"
    assert record["engine_error"]["class"] == "OutOfMemory"
    assert record["engine_error"]["oom"] is True and record["engine_error"]["signal"] == signal.SIGKILL
    assert "memory ran out" in out and "a shorter context" in out
    check_records(llem, study)


def test_worker_killed_in_the_middle(llem):
    process = start(llem)
    wait_for_phase(llem, "measure")
    wait_for_process(llem, "llem-worker").kill()
    out, _, study = finish(llem, process)
    assert process.returncode == 1
    assert study.error()["class"] == "WorkerDied"
    assert "signal 9" in out
    assert (study.runs[0] / "trace.partial.csv.gz").exists()
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
    record = json.loads(records[0].read_text())
    assert record["class"] == "Interrupted"
    assert study.journal[-1]["state"] == "running" and study.journal[-1]["exchange"] == exchange[0].name
    shown = llem.ok("show", study.folder)
    assert "Run 1 lost" in shown and record["message"] in shown and exchange[0].name in shown


def test_a_study_at_work_is_shown_running(llem):
    process = start(llem)
    wait_for_phase(llem, "measure")
    shown = llem.ok("show", the_study(llem.folder / "results").folder)
    process.send_signal(signal.SIGINT)
    finish(llem, process)
    assert "running" in shown and "lost" not in shown


@pytest.mark.parametrize("kept_lines", [0, 1, 2, 3])
def test_a_journal_that_ends_too_early_loses_no_run(llem, tmp_path, kept_lines):
    """llem killed, or the disk full, between the run folder and the journal's line of it."""
    path = write(tmp_path / "s.yaml", sweep={"sim.fail": ["none", "load_error"]},
                 execution={"n_cycles": 1, "order": "sequential"})
    done = llem.run("run", path, "-o", tmp_path / "results")
    study = the_study(tmp_path / "results")
    assert study.states() == ["ok", "failed"]
    journal = study.folder / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    assert len(lines) == 4
    journal.write_text("".join(lines[:kept_lines]) + lines[kept_lines][:20])
    assert llem.ok("show", study.folder) == done.stdout


def test_a_run_that_left_nothing_is_lost(llem, tmp_path):
    llem.ok("run", write(tmp_path / "t.yaml"), "-o", tmp_path / "results")
    study = the_study(tmp_path / "results")
    journal = study.folder / "journal.jsonl"
    journal.write_text(journal.read_text().splitlines(keepends=True)[0])
    study.runs[0].rename(tmp_path / "gone")
    assert "Run 1 lost" in llem.ok("show", study.folder)
    (study.folder / "001_c1_something").mkdir()
    assert "001_c1_something" in llem.ok("show", study.folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("phase", ["sensors", "engine start", "load", "tokenize", "warm-up", "measure"])
def test_interrupt_in_every_phase(llem, number, phase):
    process = start(llem, {"sim.load_ms": 300, "warmup.enabled": phase == "warm-up"})
    wait_for_phase(llem, phase)
    process.send_signal(number)
    out, err, study = finish(llem, process)
    assert process.returncode == 128 + number, (out, err)
    assert study.states() == ["interrupted"]
    assert study.error()["class"] in ("Interrupted", "WorkerDied")
    check_records(llem, study)


@pytest.mark.parametrize("phase", ["idle before the engine", "idle with the engine loaded", "measure"])
def test_interrupt_while_sensors_are_watched(llem, build_dir, phase):
    """Baselines and guards: the waits in which nothing but a sensor works."""
    script = llem.folder / "boards.json"
    script.write_text(json.dumps({"devices": [{"load": [{"type": "constant", "watts": 200}]}]}))
    env = {"LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so"), "LLEM_NVML_SIM": str(script)}
    path = write(llem.folder / "slow.yaml", {**SLOW, "sim.device": "gpu", "baseline.enabled": True,
                                             "baseline.duration_seconds": 4})
    process = llem.start("run", path, "-o", llem.folder / "results", env=env)
    wait_for_phase(llem, phase)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    out, err, study = finish(llem, process)
    assert time.monotonic() - began < 15
    assert process.returncode == 130, (out, err)
    assert study.states() == ["interrupted"]
    assert study.error()["phase"] == phase
    check_records(llem, study)


def test_interrupt_before_a_study_begins(llem, tmp_path):
    """The signal waits before llem begins: nothing is begun, and it is said."""

    def pend():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        os.kill(os.getpid(), signal.SIGINT)

    path = write(tmp_path / "s.yaml", {"model": "smollm2-135m-instruct", "backend": "llamacpp"},
                 sweep={"llamacpp.n_threads": [1, 2]}, execution={"n_cycles": 1})
    done = llem.run("run", path, "-o", tmp_path / "results", preexec_fn=pend,
                    env={"LLEM_MODELS_DIR": str(tmp_path / "empty")})
    assert done.returncode == 130, done.stderr
    assert done.stdout == "" and "interrupted before the study began: nothing was run" in done.stderr
    assert not (tmp_path / "results").exists()


def worker_that(llem, build_dir, then):
    """The real worker, and what a shell does after it."""
    worker = next(p for p in build_dir.rglob("llem-worker") if p.is_file())
    script = llem.folder / "worker"
    script.write_text(f'#!/bin/sh\n"{worker}"\nstatus=$?\n{then}\nexit $status\n')
    script.chmod(0o755)
    engines = {f"LLEM_ENGINE_{name.upper()}": str(next(build_dir.rglob(f"llem-engine-{name}"))) for name in ("sim",)}
    return {"LLEM_WORKER": str(script), **engines}


def test_leftovers_are_told(llem, build_dir):
    env = worker_that(llem, build_dir, "setsid sleep 1000 & sleep 1000 &")
    done, study = run(llem, {}, "--quiet", expect=0, env=env)
    assert "warning: 2 processes of run 1 had to be killed" in done.stderr
    assert "had to be killed" in study.journal[-1]["warning"]
    assert study.states() == ["ok"]


def test_files_that_cannot_be_moved_are_named(llem):
    process = start(llem, {"n": 1, "max_output_tokens": 8})
    wait_for_phase(llem, "measure")
    study = the_study(llem.folder / "results")
    name = f"001_c1_scripted-sim_{study.cells[0]['hash'][:8]}"
    (study.folder / name / "in the way").mkdir(parents=True)
    out, err, study = finish(llem, process)
    assert process.returncode == 1
    assert study.states() == ["failed"]
    for text in (out, err, study.journal[-1]["message"], llem.ok("show", study.folder)):
        assert f"{name}.partial" in text and ".exchange-" in text
    assert json.loads((study.folder / f"{name}.partial" / "result.json").read_text())["schema"]


def mount_small(folder, size):
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"needs:tmpfs {done.stderr.strip()}")


def test_exchange_folder_that_cannot_be_removed_is_a_warning(llem):
    process = start(llem, {"n": 1, "max_output_tokens": 8})
    wait_for_phase(llem, "measure")
    study = the_study(llem.folder / "results")
    busy = next(study.folder.glob(".exchange-*")) / "busy"
    busy.mkdir()
    mount_small(busy, "64k")
    try:
        _, err, study = finish(llem, process)
    finally:
        subprocess.run(["umount", busy], check=True)
    assert process.returncode == 0, err
    assert study.states() == ["ok"]
    assert "warning: cannot remove" in err


def test_two_studies_at_once_know_it(llem, tmp_path):
    """Both are told of the other, the one that was first too; what ran alone has no flag."""
    first = start(llem, {"n": 16})
    wait_for_phase(llem, "measure")
    fields = {"sim.token_us": 100000, "max_output_tokens": 16, "n": 1, "warmup.enabled": False}
    path = write(tmp_path / "t.yaml", fields, sweep={"sim.threads": [1, 2]})
    second = llem.start("run", path, "-o", tmp_path / "second")
    end = time.monotonic() + 30
    while time.monotonic() < end and not support.files_below(tmp_path / "second", "progress.jsonl"):
        time.sleep(0.02)
    first.send_signal(signal.SIGINT)
    _, err_of_first, alone = finish(llem, first)
    _, err = second.communicate(timeout=60)
    told = "another llem study is at work on this machine (process {})"
    assert err_of_first.count(told.format(second.pid)) == 1
    assert told.format(second.pid) in alone.journal[-1]["warning"]
    assert second.returncode == 0, err
    assert err.count(told.format(first.pid)) == 1
    flags = [the_study(tmp_path / "second").result(i)["context"].get("concurrent_study") for i in range(2)]
    assert flags == [True, None]


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
    while time.monotonic() < end and not support.any_says(tmp_path, "journal.jsonl", '"run":2'):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)  # the second run is begun: its journal line is there
    out, _, study = finish(llem, process)
    assert process.returncode == 130
    assert study.states() == ["ok", "interrupted"]
    assert "interrupted" in out and "planned" in out
    assert "interrupted: interrupted" not in out
    assert not (tmp_path / "cache" / "llem-studies").exists()
    check_records(llem, study)


@pytest.fixture
def small_disk(tmp_path):
    """A tmpfs of 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount_small(folder, "4m")
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
    path = write(tmp_path / "t.yaml", {**SLOW, "n": 1, "max_output_tokens": 20})
    process = llem.start("run", path, "-o", small_disk / "results")
    end = time.monotonic() + 60
    while time.monotonic() < end and not support.any_says(small_disk, "progress.jsonl", '"measure"'):
        time.sleep(0.02)
    fill(small_disk)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, (out, err)
    assert "No space left on device" in out
    shown = llem.ok("show", the_study(small_disk / "results").folder)
    assert "planned" not in shown and re.search(r"Run 1 (failed|lost): ", shown), shown
    for record in Path(small_disk).rglob("*.json"):
        json.loads(record.read_text())


def test_results_folder_not_writable(llem, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = llem.run("run", write(tmp_path / "t.yaml"), "-o", blocked / "results")
    assert done.returncode == 2
    assert str(blocked) in done.stderr


@pytest.mark.parametrize("way", ["run", "plan"])
def test_worker_missing(llem, tmp_path, way):
    """Found before anything runs."""
    done = llem.run(way, write(tmp_path / "t.yaml"), "-o", tmp_path / "results", env={"LLEM_WORKER": "/nonexistent"})
    assert done.returncode == 2
    assert "error: /nonexistent is not a program that can be run" in done.stderr
    assert "reinstall llem, or name its worker in LLEM_WORKER" in done.stderr
    assert not (tmp_path / "results").exists()


UNSTARTABLE = {
    "no #! line": ("echo hello\n", "Exec format error (a script needs a #! line)"),
    "no interpreter": ("#!/no/such/interpreter\n", "what it names as its interpreter is not there"),
}


@pytest.mark.parametrize(
    "variable,what",
    [(variable, what) for variable in ("LLEM_WORKER", "LLEM_ENGINE_SIM") for what in UNSTARTABLE],
)
def test_program_that_cannot_start_is_named(llem, variable, what):
    text, reason = UNSTARTABLE[what]
    program = llem.folder / "program"
    program.write_text(text)
    program.chmod(0o755)
    if variable == "LLEM_ENGINE_SIM":  # found before anything runs
        early = llem.run("run", write(llem.folder / "t.yaml"), "-o", llem.folder / "none", env={variable: str(program)})
        assert early.returncode == 2 and f"cannot start {program}: {reason}" in early.stderr
        assert not (llem.folder / "none").exists()
    done, study = run(llem, {}, "--skip-preflight", expect=1, env={variable: str(program)})
    assert f"cannot start {program}: {reason}" in study.error()["message"], done.stdout


def test_adapter_missing(llem, tmp_path):
    done = llem.run("run", write(tmp_path / "t.yaml"), "-o", tmp_path / "results",
                    env={"LLEM_ENGINE_SIM": str(tmp_path / "nowhere")})
    assert done.returncode == 2
    assert "LLEM_ENGINE_SIM" in done.stderr
    assert not os.path.isdir(tmp_path / "results")


LLAMACPP = {"backend": "llamacpp", "n": 1, "max_output_tokens": 2, "warmup.enabled": False}


def test_model_path_that_is_not_there(llem, tmp_path):
    """Found before anything runs, and located."""
    path = write(tmp_path / "m.yaml", {**LLAMACPP, "model": str(tmp_path / "nowhere.gguf")})
    done = llem.run("run", path, "-o", tmp_path / "results")
    assert done.returncode == 2
    assert "m.yaml:2:11: error" in done.stderr and "nowhere.gguf: No such file" in done.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("part", ["header", "half"])
def test_model_file_that_is_cut_off(llem, tmp_path, part):
    """`make test` brings the model (its stage "model")."""
    llem.use_real_models()
    whole = next(Path(llem.env["LLEM_MODELS_DIR"]).rglob("SmolLM2-135M-Instruct-Q4_1.gguf"))
    cut = tmp_path / "cut.gguf"
    size = 1000 if part == "header" else whole.stat().st_size // 2
    with open(whole, "rb") as file:
        cut.write_bytes(file.read(size))
    done = llem.run("run", write(tmp_path / "m.yaml", {**LLAMACPP, "model": str(cut)}), "-o", tmp_path / "results")
    assert done.returncode == 2
    assert "m.yaml:2:11: error: " in done.stderr and "truncated" in done.stderr
    assert not (tmp_path / "results").exists()
