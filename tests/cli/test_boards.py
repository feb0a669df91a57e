"""Which boards a run is given, and the memory gate before it, through `llem run` on simulated boards."""

import json
import signal
import subprocess
import time

import pytest

from studies import check_records, metric, the_study, write

pytestmark = pytest.mark.timing

UUIDS = [f"GPU-00000000-0000-4000-8000-{i:012d}" for i in range(4)]
QUICK = {"sim.device": "gpu", "warmup.enabled": False, "energy.modelled": False, "energy.max_repeats": 1, "n": 1,
         "sim.token_us": 20000, "max_output_tokens": 8}
MIB = 1 << 20


@pytest.fixture
def machine(llem, build_dir, tmp_path):
    """machine(devices, **script): the boards there are from now on."""
    llem.env |= {"LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so"),
                 "LLEM_NVML_SIM": str(tmp_path / "boards.json")}

    def put(*devices, **script):
        boards = [{"load": [{"type": "constant", "watts": 100 * (i + 1)}], **d} for i, d in enumerate(devices)]
        (tmp_path / "boards.json").write_text(json.dumps({"devices": boards, **script}))

    return put


@pytest.fixture
def run(llem, tmp_path):
    """run(fields, env, expect): what became of a run of QUICK: (CompletedProcess, Study)."""

    def go(fields=None, env=None, expect=0, **more):
        path = write(tmp_path / "s.yaml", {**QUICK, **(fields or {})}, execution={"n_cycles": 1}, **more)
        results = tmp_path / f"results{len(list(tmp_path.glob('results*')))}"
        done = llem.run("run", path, "-o", results, timeout=120, env=env or {})
        assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
        study = the_study(results) if results.exists() else None
        if study:
            check_records(llem, study)
        return done, study

    return go


def engine_sees(record):
    """What the engine's environment had, as the record of its variables has it."""
    return record["engine"]["variables"]["CUDA_VISIBLE_DEVICES"]


@pytest.fixture
def recorded(llem, build_dir, tmp_path):
    """The scripted engine with a descriptor that has the variable recorded, and takes several boards."""
    sim = build_dir / "libexec" / "llem" / "engines" / "sim"
    descriptor = json.loads((sim / "engine.json").read_text())
    descriptor["record_env"] = ["CUDA_VISIBLE_DEVICES"]
    descriptor["roles"]["devices"] = "threads"
    folder = tmp_path / "engines" / "sim"
    folder.mkdir(parents=True)
    (folder / "engine.json").write_text(json.dumps(descriptor))
    (folder / "llem-engine-sim").symlink_to(sim / "llem-engine-sim")
    llem.env["LLEM_ENGINES_PATH"] = str(tmp_path / "engines")


# --- which ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields, visible, chosen, source", [
    ({}, None, [0], "default"),
    ({"sim.threads": 2}, None, [0, 1], "default"),
    ({"gpus": [2]}, None, [2], "gpus"),
    ({"gpus": [UUIDS[1][:-1] + "1", "0"], "sim.threads": 2}, "2", [1, 0], "gpus"),
    ({}, UUIDS[2], [2], "CUDA_VISIBLE_DEVICES"),
    ({"sim.threads": 2}, f"{UUIDS[2]},{UUIDS[0]}", [2, 0], "CUDA_VISIBLE_DEVICES"),
    ({}, "1", [1], "CUDA_VISIBLE_DEVICES"),
])
def test_the_engine_is_given_these_boards_and_they_are_the_energy(
        machine, run, recorded, fields, visible, chosen, source):
    machine({}, {}, {})
    _, study = run(fields, env={"CUDA_VISIBLE_DEVICES": visible} if visible else {})
    record = study.result()
    uuids = [UUIDS[i] for i in chosen]
    assert engine_sees(record) == ",".join(uuids)
    assert record["context"]["boards"] == record["machine"]["boards"] == uuids
    assert record["context"]["boards_source"].startswith(source)
    assert not {"boards_assumed", "boards_strayed"} & set(record["flags"])
    assert [g["uuid"] for g in record["machine"]["gpus"] if g["ours"]] == sorted(uuids)
    assert len(record["machine"]["gpus"]) == 3  # the others are bystanders
    watts = metric(record, "energy_j")["value"] / record["energy"]["scopes"][0]["duration_s"]
    assert watts == pytest.approx(sum(100 * (i + 1) for i in chosen), rel=0.02)


def test_a_run_on_no_gpu_is_given_none(machine, run, recorded):
    machine({})
    _, study = run({"sim.device": "cpu", "energy.modelled": True})
    record = study.result()
    assert engine_sees(record) == "" and record["context"]["boards"] == []
    assert "memory_gate" not in record["context"]


def test_which_is_not_hashed_and_how_many_is(llem, machine, tmp_path):
    machine({}, {}, {})

    def config_hash(**fields):
        path = write(tmp_path / "h.yaml", {**QUICK, **fields}, execution={"n_cycles": 1})
        return json.loads(llem.ok("plan", path, "--json"))["cells"][0]["config_hash"]

    assert config_hash(gpus=[0]) == config_hash(gpus=[2]) == config_hash(gpus=[UUIDS[1]]) == config_hash()
    assert config_hash(gpus=[0, 1]) == config_hash(gpus=[2, 1]) != config_hash()


@pytest.mark.parametrize("fields, visible, words", [
    ({"gpus": [7]}, None, ["gpus: there is no GPU '7' here", UUIDS[0], "s.yaml:"]),
    ({"gpus": [0, UUIDS[0]]}, None, [f"gpus names {UUIDS[0]} twice", "s.yaml:"]),
    ({"sim.threads": 3}, None, ["needs 3 GPUs, and this machine has 2", "s.yaml:"]),
    ({"sim.threads": 2}, UUIDS[0], ["needs 2 GPUs, and CUDA_VISIBLE_DEVICES leaves 1"]),
    ({"sim.threads": 2, "gpus": [1]}, None, ["needs 2 GPUs, and gpus names 1", "s.yaml:"]),
    ({}, f"{UUIDS[0]},0", ["needs 1 GPU, and CUDA_VISIBLE_DEVICES leaves 0", "names a board twice"]),
    ({}, f"MIG-{UUIDS[0]}/1/0", ["CUDA_VISIBLE_DEVICES leaves 0", "in the form of drivers before 470"]),
    ({"sim.threads": 2}, "1,7,0", ["needs 2 GPUs, and CUDA_VISIBLE_DEVICES leaves 1"]),
    ({}, "GPU-0000", ["CUDA_VISIBLE_DEVICES leaves 0"]),
    ({}, "-1", ["needs 1 GPU, and CUDA_VISIBLE_DEVICES leaves 0"]),
    ({}, "", ["needs 1 GPU, and CUDA_VISIBLE_DEVICES leaves 0"]),
])
@pytest.mark.parametrize("command", ["plan", "run"])
def test_too_few_is_an_error_when_planned(llem, machine, recorded, tmp_path, command, fields, visible, words):
    machine({}, {})
    path = write(tmp_path / "s.yaml", {**QUICK, **fields}, execution={"n_cycles": 1})
    env = {"CUDA_VISIBLE_DEVICES": visible} if visible is not None else {}
    done = llem.run(command, path, *(["-o", tmp_path / "results"] if command == "run" else []), env=env)
    assert done.returncode == 2, (done.stdout, done.stderr)
    for word in words:
        assert word in done.stderr, done.stderr
    assert not (tmp_path / "results").exists()


def test_a_board_that_cannot_be_opened_is_named(llem, machine, tmp_path):
    machine({}, {"lost_s": 0})
    path = write(tmp_path / "s.yaml", {**QUICK, "gpus": [0, 1]}, execution={"n_cycles": 1})
    done = llem.run("plan", path)
    assert done.returncode == 2 and "GPU #1 cannot be opened: " in done.stderr, done.stderr


def test_persistence_mode_that_is_off_is_told_before_and_in_the_record(machine, run):
    machine({"persistence": False}, {})
    done, study = run()
    assert f"persistence mode is off: {UUIDS[0]}" in done.stderr
    assert any(f"persistence mode of {UUIDS[0]} is off" in w for w in study.result()["warnings"])
    _, study = run({"gpus": [1]})
    assert not any("persistence mode" in w for w in study.result()["warnings"])


def test_numbers_of_unlike_boards_are_refused(llem, machine, run, tmp_path):
    """CUDA counts unlike boards by their speed, which nobody here knows: another board's joules would be taken."""
    machine({"name": "NVIDIA A"}, {"name": "NVIDIA B"})
    path = write(tmp_path / "u.yaml", QUICK, execution={"n_cycles": 1})
    done = llem.run("run", path, "-o", tmp_path / "refused", env={"CUDA_VISIBLE_DEVICES": "1"})
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "which GPUs CUDA_VISIBLE_DEVICES means cannot be told" in done.stderr
    assert "set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name them by UUID" in done.stderr
    for env in ({"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, {"CUDA_VISIBLE_DEVICES": UUIDS[1]}):
        _, study = run(env={"CUDA_VISIBLE_DEVICES": "1"} | env)
        assert study.result()["context"]["boards_source"] == "CUDA_VISIBLE_DEVICES"
        assert study.result()["machine"]["boards"] == [UUIDS[1]]


def test_numbers_of_like_boards_are_taken(machine, run):
    machine({"name": "NVIDIA A"}, {"name": "NVIDIA A"})
    _, study = run(env={"CUDA_VISIBLE_DEVICES": "1"})
    assert study.result()["context"]["boards_source"] == "CUDA_VISIBLE_DEVICES"
    assert study.result()["machine"]["boards"] == [UUIDS[1]]


@pytest.mark.parametrize("figures", [True, False])
def test_an_engine_on_another_board_is_told(llem, machine, run, build_dir, tmp_path, figures):
    """By the processes of each board, also where memory is shared with the CPU and has no figures."""
    """Its process is in the driver's list of a board that it was not given: no joules of that board slip in."""
    engine = next(p for p in build_dir.rglob("llem-engine-sim") if p.is_file())
    wrapper = tmp_path / "engine"
    wrapper.write_text(f'#!/bin/sh\necho $$ > "{tmp_path}/engine.pid"\nexec "{engine}"\n')
    wrapper.chmod(0o755)
    llem.env["LLEM_ENGINE_SIM"] = str(wrapper)
    calls = [] if figures else ["nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2"]
    machine({}, {"processes": [{"pid_file": "engine.pid", "memory_mib": 10}]},
            faults=[{"call": call, "return": "NOT_SUPPORTED"} for call in calls])
    _, study = run({"gpus": [0], "memory_gate.settle_seconds": 0.1})
    record = study.result()
    assert record["machine"]["boards"] == [UUIDS[0]]
    assert "boards_strayed" in record["flags"]


# --- MIG --------------------------------------------------------------------------------------------------------------


def test_an_instance_has_no_energy_and_says_why(machine, run, recorded):
    machine({"instances": [{"uuid": "MIG-11"}, {"uuid": "MIG-22", "memory": [[0, 9000]]}]}, {})
    _, study = run({"gpus": ["MIG-11"]})
    record = study.result()
    assert engine_sees(record) == "MIG-11" and record["machine"]["boards"] == ["MIG-11"]
    energy = metric(record, "energy_j")
    assert energy["status"] == "absent" and "MIG" in energy["reason"] and UUIDS[0] in energy["reason"]
    assert record["energy"]["scope"] == "GPU instance (MIG)"
    assert record["context"]["memory_gate"]["verdict"] == "free"  # of the instance: the other one is full
    assert record["context"]["memory_gate"]["boards"][0]["instance_of"] == UUIDS[0]


def test_a_board_that_is_not_opened_for_the_run_is_named(machine, run):
    """There when boards were given, gone when the worker opens them, while the gate waits: the sum over the other is not the
    run's."""
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    machine({"memory": [[0, 40000]]}, {"lost_s": 3}, epoch_ns=now)
    _, study = run({"gpus": [0, 1], "memory_gate.settle_seconds": 4})
    energy = metric(study.result(), "energy_j")
    assert energy["value"] is None and UUIDS[1] in energy["reason"] and "does not open it" in energy["reason"]
    each = {b["device"]: b["joules"] for b in study.result()["energy"]["scopes"][0]["per_board"]}
    assert each[UUIDS[0]]["value"] is not None and each[UUIDS[1]]["status"] == "absent"


# --- the gate -----------------------------------------------------------------------------------------------------------


def gate(record):
    return record["context"]["memory_gate"]


def test_free_memory_costs_no_time_and_is_recorded(machine, run):
    machine({"memory": [[0, 3]]})
    _, study = run()
    found = gate(study.result())
    assert found["verdict"] == "free" and found["waited_ns"] < 2e9
    assert (found["threshold_bytes"], found["settle_seconds"], found["action"]) == (100_000_000, 10, "warn")
    board = found["boards"][0]
    assert board["uuid"] == UUIDS[0] and board["holders"] == []
    assert board["used_bytes"] == board["partition_bytes"] == board["whole_board_bytes"] == 3 * MIB
    assert "memory_occupied" not in study.result()["flags"]


def test_memory_that_becomes_free_is_waited_for(machine, run):
    machine({"memory": [[0, 700], [2.5, 1]]})
    done, study = run({"memory_gate.settle_seconds": 60})
    found = gate(study.result())
    assert found["verdict"] == "free" and 0.5e9 < found["waited_ns"] < 30e9
    assert found["boards"][0]["first_used_bytes"] == 700 * MIB
    assert "in use" not in done.stderr


@pytest.fixture
def stranger():
    """A process of somebody that holds memory of a board."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def test_occupied_memory_is_a_warning_that_names_who_holds_it(machine, run, stranger):
    machine({"processes": [{"pid": stranger.pid, "memory_mib": 400, "holds": True}]})
    done, study = run({"memory_gate.settle_seconds": 0.5})
    record = study.result()
    assert f"419 MB of {UUIDS[0]}" in done.stderr and f"sleep (pid {stranger.pid} of " in done.stderr
    assert "memory_occupied" in record["flags"]
    holder = gate(record)["boards"][0]["holders"][0]
    assert (holder["pid"], holder["name"], holder["bytes"]) == (stranger.pid, "sleep", 400 * MIB)
    assert holder["user"] and gate(record)["verdict"] == "occupied"
    assert any(f"pid {stranger.pid}" in line.get("warning", "") for line in study.journal)


def test_refuse_begins_nothing(machine, run, stranger):
    machine({"processes": [{"pid": stranger.pid, "memory_mib": 400, "holds": True}]})
    done, study = run({"memory_gate.settle_seconds": 0.2, "memory_gate.action": "refuse"}, expect=1)
    assert study.states() == ["refused"] and not study.runs
    reason = study.journal[-1]["message"]
    assert UUIDS[0] in reason and f"pid {stranger.pid}" in reason and "memory_gate" in reason
    assert "419 MB" in done.stdout + done.stderr


def test_only_the_boards_of_the_run_are_looked_at(machine, run):
    machine({"memory": [[0, 5000]]}, {"memory": [[0, 1]]})
    _, study = run({"gpus": [1], "memory_gate.action": "refuse"})
    assert [b["uuid"] for b in gate(study.result())["boards"]] == [UUIDS[1]]


def test_what_other_partitions_use_counts(machine, run):
    """A driver that answers the newer call for the caller's control group: others of the board are in the older alone."""
    machine({"memory": [[0, 800]], "memory_partition": [[0, 0]]})
    _, study = run({"memory_gate.settle_seconds": 0})
    board = gate(study.result())["boards"][0]
    assert (board["partition_bytes"], board["whole_board_bytes"]) == (0, 800 * MIB)
    assert board["used_bytes"] == 800 * MIB and board["figure"] == "whole board"
    assert "memory_occupied" in study.result()["flags"]


OLD_DRIVER = {"faults": [{"call": "nvmlDeviceGetMemoryInfo_v2", "return": "FUNCTION_NOT_FOUND"}]}


def test_an_older_driver_has_no_figure_without_a_reference(machine, run, stranger, tmp_path):
    held = {"processes": [{"pid": stranger.pid, "memory_mib": 400, "holds": True}]}
    machine(held, **OLD_DRIVER)
    _, study = run({"memory_gate.settle_seconds": 0.2, "memory_gate.action": "refuse"}, expect=1)
    assert "no reference" in study.journal[-1]["message"]
    machine({}, **OLD_DRIVER)  # nobody is there: the reserved part shows
    _, study = run({"memory_gate.action": "refuse"})
    board = gate(study.result())["boards"][0]
    assert board["used_bytes"] == 0 and board["lowest_bytes"] == 551 * MIB
    assert board["partition_bytes"] is None and board["partition_bytes_reason"]
    machine(held, **OLD_DRIVER)
    _, study = run({"memory_gate.settle_seconds": 0.2})
    board = gate(study.result())["boards"][0]
    assert board["used_bytes"] == 400 * MIB and board["figure"] == "above the lowest without a process"


def begun(results):
    """Waits until a study is at work: its folder is there, and the first run stands at the gate soon after."""
    deadline = time.monotonic() + 30
    while not list(results.glob("*/journal.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)


def test_what_a_process_held_drains_after_its_end(llem, machine, tmp_path, stranger):
    """As the engine of a run before: 600 MiB become free over two seconds after its end."""
    (tmp_path / "holder.pid").write_text(str(stranger.pid))
    machine({"processes": [{"pid_file": "holder.pid", "memory_mib": 600, "holds": True, "drain_s": 2}]})
    path = write(tmp_path / "s.yaml", {**QUICK, "memory_gate.settle_seconds": 60}, execution={"n_cycles": 1})
    process = llem.start("run", path, "-o", tmp_path / "results")
    begun(tmp_path / "results")
    stranger.kill()
    stranger.wait()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, (out, err)
    found = gate(the_study(tmp_path / "results").result())
    assert found["verdict"] == "free" and found["waited_ns"] > 1e9
    board = found["boards"][0]
    assert board["first_used_bytes"] == 600 * MIB > board["used_bytes"] and board["holders"] == []


def test_ctrl_c_while_it_waits(llem, machine, tmp_path):
    machine({"memory": [[0, 800]]})
    path = write(tmp_path / "s.yaml", {**QUICK, "memory_gate.settle_seconds": 600}, execution={"n_cycles": 2})
    process = llem.start("run", path, "-o", tmp_path / "results")
    begun(tmp_path / "results")
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == 130, (out, err)
    assert "planned" in out and "refused" not in out
    assert the_study(tmp_path / "results").states() == []  # both are still to be done
    assert not llem.left_running()
