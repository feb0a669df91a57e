"""llem run on simulated boards: the joules against the known truth, and what becomes of a run whose sensor lies,
vanishes or may not be read."""

import ctypes
import gzip
import itertools
import json
import os
import re
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest

from counters import counting
from studies import check_records, metric, the_study, write

pytestmark = pytest.mark.timing

UUID = "GPU-00000000-0000-4000-8000-000000000000"
# 43 ms a step does not beat with a sensor that refreshes every 100 ms.
WORK = {"sim.device": "gpu", "sim.token_us": 43000, "max_output_tokens": 24, "n": 1, "energy.modelled": False, "energy.max_repeats": 1,
        "warmup.enabled": False}
BOTH = {"gpus": [0, 1]}


def board(**more):
    return {"load": [{"type": "constant", "watts": 200}], "average": {"window_ms": 1000}, **more}


@pytest.fixture
def boards(llem, build_dir, tmp_path):
    """boards(devices, fields): runs WORK beside simulated boards; the record and the finished process."""

    def run(devices, fields=None, faults=None, expect=0, arguments=(), **options):
        script = tmp_path / "boards.json"
        script.write_text(json.dumps({"devices": devices, **({"faults": faults} if faults else {})}))
        env = {"LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so"), "LLEM_NVML_SIM": str(script)}
        path = write(tmp_path / "s.yaml", {**WORK, **(fields or {})})
        done = llem.run("run", path, "-o", tmp_path / "results", *arguments, env=env, timeout=150, **options)
        assert done.returncode == expect, f"{done.stdout}\n{done.stderr}"
        study = the_study(tmp_path / "results")
        check_records(llem, study)
        return study.result(), done

    return run


def truth_j(record, watts=200):
    """Of a board that always draws the same: the time of the work, without what the meter itself put between repeats."""
    window = record["timing"]["window"]
    return watts * (window["t1_ns"] - window["t0_ns"] - window["pause_ns"]) / 1e9


def test_joules_are_the_truth_s(boards):
    record, done = boards([board()])
    energy = metric(record, "energy_j")
    assert energy["status"] == "simulated"
    assert energy["method"] == "padded_counter"
    assert energy["value"] == pytest.approx(truth_j(record), rel=0.005)
    assert energy["low"] < truth_j(record) < energy["high"]
    assert metric(record, "joules_per_output_token")["value"] == pytest.approx(energy["value"] / 24)
    assert record["simulated"] is True
    assert "J/token (simulated)" in done.stdout and "SIMULATED" in done.stdout
    assert record["energy"]["guard"]["post_ns"] > 1e9


def test_the_steady_state_s_joules_are_of_its_own_interval(boards):
    """Kept in flight across the repeats of the window, which know no pause."""
    load = {"load.mode": "closed_loop", "load.size": 3, "n": 7, "max_output_tokens": 8, "energy.max_repeats": 3,
            "energy.target_uncertainty": 0.0005}
    record, _ = boards([board()], load)
    at, energy = record["timing"]["steady"], metric(record, "steady_energy_j")
    assert metric(record, "repeats")["value"] == 3 and record["timing"]["window"]["pause_ns"] == 0
    assert metric(record, "in_flight_max")["value"] == 3 and metric(record, "in_flight_mean")["value"] > 2.7
    assert metric(record, "steady_tokens_out")["value"] > 0.8 * metric(record, "tokens_out")["value"]
    assert energy["status"] == "simulated" and energy["value"] == pytest.approx(200 * (at["t1_ns"] - at["t0_ns"]) / 1e9, rel=0.01)
    assert energy["value"] < metric(record, "energy_j")["value"]


@pytest.mark.parametrize("architecture, part", [("hopper", True), ("ada", False)])
def test_a_sensor_that_sees_a_part_is_told_without_guards_too(boards, architecture, part):
    seen = board(architecture=architecture, instant={"period_ms": 100, "window_ms": 25 if part else 100}, power_limit_w=450)
    record, _ = boards([seen], {"energy.guard_ms": 0, "sim.load_ms": 800})
    assert metric(record, "energy_j")["method"] == "edge_counter" and "guard_short" in record["flags"]
    assert ("partial_coverage" in record["flags"]) == part, record["flags"]
    assert ("phase_untold" in record["flags"]) == part, record["flags"]  # loading and warm-up stamp no steps
    loading, seconds = metric(record, "load_energy_j"), metric(record, "load_s")["value"]
    half_w = (loading["high"] - loading["low"]) / 2 / seconds
    assert loading["low"] < loading["value"] < loading["high"]
    assert (half_w > 0.8 * 0.75 * (450 - 200)) == part, loading  # what was not seen lies below the limit


def test_steps_of_the_warm_up_are_told(boards):
    """Its answers have stamps, too: of a sensor that sees a part of the time only loading is left with the widest interval."""
    seen = board(architecture="hopper", instant={"period_ms": 100, "window_ms": 25}, power_limit_w=450)
    fields = {"warmup.enabled": True, "warmup.thermal_floor_seconds": 1, "sim.load_ms": 800}
    record, _ = boards([seen], fields)
    half = {name: (metric(record, name)["high"] - metric(record, name)["low"]) / 2 / metric(record, name)["value"]
            for name in ("load_energy_j", "warmup_energy_j")}
    assert half["load_energy_j"] > 0.7 and half["warmup_energy_j"] < 0.3, half


NO_LIMIT = [{"call": f"nvmlDeviceGet{name}", "return": "NOT_SUPPORTED"} for name in ("PowerManagementLimit", "EnforcedPowerLimit")]


@pytest.mark.parametrize("faults", [None, NO_LIMIT], ids=["known", "unknown"])
def test_steps_in_step_with_a_board_whose_limit_nobody_knows(boards, faults):
    """Steps of 100 ms on a sensor that sees 25 of 100 ms: what it missed lies below the limit, or below the highest there is."""
    seen = board(architecture="hopper", instant={"period_ms": 100, "window_ms": 25}, power_limit_w=450)
    record, _ = boards([seen], {"sim.token_us": 100000, "max_output_tokens": 14}, faults=faults)
    assert "phase_locked" in record["flags"], record["flags"]
    assert ("limit_unknown" in record["flags"]) == bool(faults), record["flags"]
    energy, seconds = metric(record, "energy_j"), truth_j(record, 1)
    most_w = 1400 if faults else 450
    assert energy["low"] < 200 * seconds < energy["high"]
    # a rectangle of 0.75 times what lies above the mean, and the gain beside it
    assert 0.9 * 0.75 * (most_w - 200) < (energy["high"] - energy["low"]) / 2 / seconds < 1.1 * 0.75 * (most_w - 200)


def test_what_readings_in_step_saw_of_the_steps_is_known(boards):
    """Steps of 12.5 ms: a pattern of four of them fits into 50 ms, of which windows of 25 ms have seen half. No more than the
    other half is left to lie below the limit."""
    seen = board(architecture="hopper", instant={"period_ms": 100, "window_ms": 25}, power_limit_w=450)
    record, _ = boards([seen], {"sim.token_us": 12500, "max_output_tokens": 112})
    assert "phase_locked" in record["flags"], record["flags"]
    energy, seconds = metric(record, "energy_j"), truth_j(record, 1)
    half_w = (energy["high"] - energy["low"]) / 2 / seconds
    assert energy["low"] < 200 * seconds < energy["high"]
    assert 0.35 * (450 - 200) < half_w < 0.62 * (450 - 200)


@pytest.mark.parametrize("n", [1, 20], ids=["one", "many"])
def test_short_requests_have_steps_too(boards, n):
    """As many tokens in one answer or in many short ones, one after the other: steps of 100 ms on 25 of 100 ms are told."""
    seen = board(architecture="hopper", instant={"period_ms": 100, "window_ms": 25}, power_limit_w=450)
    record, _ = boards([seen], {"sim.token_us": 100000, "n": n, "max_output_tokens": 40 // n, "max_input_tokens": 1})
    assert "phase_locked" in record["flags"], record["flags"]


def test_the_library_is_open_as_long_as_the_study_is(llem, build_dir, tmp_path):
    """Without persistence mode a driver is torn down when nobody has it open: between two runs llem itself does."""
    log, script = tmp_path / "nvml.log", tmp_path / "boards.json"
    script.write_text(json.dumps({"devices": [board()]}))
    llem.env |= {"LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so"), "LLEM_NVML_SIM": str(script),
                 "LLEM_NVML_SIM_LOG": str(log)}
    study = write(tmp_path / "s.yaml", {**WORK, "max_output_tokens": 4}, execution={"n_cycles": 2})
    running = llem.start("run", study, "-o", tmp_path / "results")
    said = running.communicate(timeout=150)
    assert running.returncode == 0, said
    seen = [(int(t), int(pid), what) for t, pid, what in map(str.split, log.read_text().splitlines())]
    own = [(t, what) for t, pid, what in seen if pid == running.pid]
    others = [t for t, pid, _ in seen if pid != running.pid]
    assert len({pid for _, pid, _ in seen}) == 3  # a worker for each run
    between = [what for t, what in own if min(others) < t < max(others)]
    before = [what for t, what in own if t < min(others)]
    assert before[-1] == "open" and between == [] and own[-1] == (own[-1][0], "close"), seen


def test_net_of_idle(boards):
    """A board that always draws the same: nothing is left net of idle, and it is not clamped to a bare 0."""
    record, _ = boards([board()], {"baseline.enabled": True, "baseline.duration_seconds": 2})
    for name in ("energy_net_context_idle_j", "energy_net_cold_idle_j"):
        assert abs(metric(record, name)["value"]) < 0.01 * truth_j(record)
    assert metric(record, "idle_power_context_w")["value"] == pytest.approx(200, rel=0.01)
    before, after = record["timing"]["idle_context"], record["timing"]["idle_after"]
    assert before["t1_ns"] <= record["timing"]["window"]["guard_from_ns"]
    assert after["t0_ns"] >= record["timing"]["window"]["guard_to_ns"]
    assert "baseline_drift" not in record["flags"]


def test_an_idle_level_that_moves_is_told(boards):
    """60 W before the work, 40 W after it: half the step goes into the interval, and the record says so."""
    load = [{"type": "tail", "watts": 60, "from_s": 0, "tau_ms": 15000}, {"type": "constant", "watts": 40}]
    record, _ = boards([board(load=load)], {"baseline.enabled": True, "baseline.duration_seconds": 2})
    assert "baseline_drift" in record["flags"]
    level = metric(record, "idle_power_context_w")
    assert level["low"] < level["value"] < level["high"]
    assert level["high"] - level["low"] > 4


def test_two_boards_are_summed(boards):
    second = board(uuid="GPU-11111111-0000-4000-8000-000000000000", load=[{"type": "constant", "watts": 100}])
    record, _ = boards([board(), second], BOTH)
    assert metric(record, "energy_j")["value"] == pytest.approx(truth_j(record, 300), rel=0.005)
    scope = record["energy"]["scopes"][0]
    each = {b["device"]: b for b in scope["per_board"]}
    assert each[UUID]["joules"]["value"] == pytest.approx(truth_j(record, 200), rel=0.005)
    assert each[second["uuid"]]["joules"]["value"] == pytest.approx(truth_j(record, 100), rel=0.005)
    assert all(b["joules"]["sensor"].startswith("nvml:GPU-") and b["checks"] for b in each.values())
    assert scope["systematic_half_width_j"] == pytest.approx(sum(b["systematic_half_width_j"] for b in each.values()))
    assert "switches between boards" in scope["outside"]
    assert record["machine"]["foreign_gpu_pids"] is None and record["machine"]["foreign_gpu_pids_reason"]


def test_a_cpu_engine_does_not_count_an_idle_board(boards):
    record, _ = boards([board()], {"sim.device": "cpu", "sim.decode_load": 0.5, "energy.modelled": True})
    for name in ("device_peak_memory_mb", "throttle_s"):
        assert metric(record, name)["status"] == "absent" and "of this run" in metric(record, name)["reason"]
    assert record["energy"]["scope"] == "CPU cores of the engine"
    assert metric(record, "energy_j")["status"] == "modelled"
    assert [s["scope"] for s in record["energy"]["scopes"]] == ["CPU cores of the engine"]
    assert [(g["uuid"], g["ours"]) for g in record["machine"]["gpus"]] == [(UUID, False)]
    assert record["energy"]["guard"]["pre_ns"] == 0  # nothing that counts needs quiet
    assert record["machine"]["guard_cores_pre"] is None and record["machine"]["guard_cores_pre_reason"]


def test_a_board_alone_does_not_measure_a_cpu_engine(boards):
    record, done = boards([board()], {"sim.device": "cpu"})
    assert metric(record, "energy_j")["status"] == "absent"
    assert "works on the CPU" in metric(record, "energy_j")["reason"] and "works on the CPU" in done.stdout
    assert record["energy"]["scope"] is None and record["energy"]["scopes"] == []


@pytest.mark.parametrize("visible, watts", [("0", 200), (UUID, 200), ("GPU-1111", 100)])
def test_the_energy_is_of_what_cuda_sees(boards, visible, watts, llem):
    """Of the one board that the run needs: of boards that are alike, numbers tell it as UUIDs do."""
    second = board(uuid="GPU-11111111-0000-4000-8000-000000000000", load=[{"type": "constant", "watts": 100}])
    llem.env["CUDA_VISIBLE_DEVICES"] = visible
    record, _ = boards([board(), second])
    assert metric(record, "power_mean_w")["value"] == pytest.approx(watts, rel=0.01)
    assert "boards_assumed" not in record["flags"]
    assert record["context"]["boards_source"] == "CUDA_VISIBLE_DEVICES"


def test_another_board_that_works_is_told(boards, llem):
    """It is no part of the energy, but it heats the same box and draws on the same supply."""
    llem.env["CUDA_VISIBLE_DEVICES"] = UUID
    other = board(uuid="GPU-11111111-0000-4000-8000-000000000000", utilisation=80)
    record, done = boards([board(), other])
    assert "other_gpu_busy" in record["flags"] and "another GPU" in done.stdout
    gpus = {g["uuid"]: g for g in record["machine"]["gpus"]}
    assert gpus[other["uuid"]]["utilisation"] == pytest.approx(0.8) and not gpus[other["uuid"]]["ours"]
    assert gpus[UUID]["utilisation_before"] == gpus[UUID]["utilisation_after"] == 0 and gpus[UUID]["ours"]
    assert metric(record, "energy_j")["value"] == pytest.approx(truth_j(record), rel=0.005)


STEPS = [{"type": "square", "low_w": 0, "watts": 200, "period_ms": 3000, "duty": 0.5, "from_s": 0, "to_s": 4.5},
         {"type": "constant", "watts": 100}]


def test_a_temperature_that_stays_is_warm(boards):
    """It is one run of equal readings; and iterations of 40 ms must not use up their maximum before 30 s are over."""
    fields = {"warmup.enabled": True, "max_output_tokens": 2, "sim.token_us": 20000, "warmup.max_prompts": 20,
              "warmup.cv_threshold": 0.9, "warmup.slope_threshold": 0.9}
    record, _ = boards([board(temperature_c=55)], fields)
    assert record["steadiness"]["steady"] is True and "not_steady" not in record["flags"]
    assert record["steadiness"]["temperature_slope_c_per_min"] == 0
    assert record["steadiness"]["iterations"] > 100


@pytest.mark.parametrize("source, follows", [("average", True), ("truth", False)])
def test_a_counter_of_the_average_is_found_out(boards, source, follows):
    """It lags by a second: its guards must be longer. At idle nobody can tell; the steps of the warm-up show it."""
    fields = {"warmup.enabled": True, "warmup.thermal_floor_seconds": 1}
    record, _ = boards([board(load=STEPS, counter={"source": source})], fields)
    channel = record["energy"]["characterisation"]["channels"][f"nvml:{UUID}:energy"]
    assert channel.get("follows_average", False) is follows
    assert metric(record, "energy_j")["value"] == pytest.approx(truth_j(record, 100), rel=0.01)
    assert metric(record, "energy_j")["method"] == "padded_counter"


def test_number_of_a_board_in_pci_order(boards, llem):
    second = board(uuid="GPU-11111111-0000-4000-8000-000000000000", load=[{"type": "constant", "watts": 100}])
    llem.env |= {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    record, _ = boards([board(memory=[[0, 40000]]), {**second, "memory": [[0, 1000]]}], {"memory_gate.settle_seconds": 0})
    assert metric(record, "device_peak_memory_mb")["value"] == pytest.approx(1000 * 1.048576, rel=0.01)  # MiB to MB
    assert metric(record, "power_mean_w")["value"] == pytest.approx(100, rel=0.01)
    assert record["machine"]["boards"] == ["GPU-11111111-0000-4000-8000-000000000000"]


SHORT = {"sim.prefix_cache": True, "max_output_tokens": 3, "energy.max_repeats": 4, "energy.target_uncertainty": 0.0001}


def test_repeats_beside_a_prefix_cache_are_computed(boards):
    """Each repeat has a set of its own, as long as the others, which no cache can serve."""
    record, _ = boards([board()], SHORT)
    assert metric(record, "repeats")["value"] == 4
    assert metric(record, "tokens_in_cached")["value"] == 0
    assert record["workload"]["repeat_sets"].startswith("turned")
    assert "unequal_work" not in record["flags"]
    assert metric(record, "joules_per_output_token")["value"] == pytest.approx(truth_j(record) / 12, rel=0.01)


def test_repeats_that_a_cache_serves_all_the_same_are_unequal_work(boards, tmp_path):
    """A prompt of one word over and over stays itself wherever it begins."""
    (tmp_path / "same.jsonl").write_text(json.dumps({"prompt": "again again again again"}) + "\n")
    record, done = boards([board()], {**SHORT, "dataset": "./same.jsonl"}, expect=1)
    assert "unequal_work" in record["flags"] and "unequal" in done.stdout.split()
    assert metric(record, "joules_per_output_token")["value"] is None
    assert "unequal_work" in metric(record, "joules_per_output_token")["reason"]
    assert "unequal_work" in done.stdout


def test_pauses_of_the_meter_are_in_no_figure(boards):
    """Short work beside a sensor that sees a quarter of each period: eight repeats, each after a seeded pause."""
    partial = board(load=[{"type": "constant", "watts": 150}], architecture="hopper", counter={"period_ms": 100, "window_ms": 25})
    fields = {"sim.token_us": 20000, "sim.prefill_us_per_token": 0, "max_output_tokens": 9, "energy.max_repeats": 8,
              "energy.target_uncertainty": 0.0001}
    record, _ = boards([partial], fields)
    window = record["timing"]["window"]
    assert metric(record, "repeats")["value"] == 8
    assert window["pause_ns"] > 0.1e9
    whole_s = (window["t1_ns"] - window["t0_ns"]) / 1e9
    assert metric(record, "window_s")["value"] == pytest.approx(whole_s - window["pause_ns"] / 1e9)
    assert metric(record, "output_tokens_per_s")["value"] == pytest.approx(72 / metric(record, "window_s")["value"])
    # eight steps of 20 ms; the first token of each repeat costs nothing here
    assert metric(record, "window_s")["value"] == pytest.approx(8 * 8 * 0.02, rel=0.05)
    assert metric(record, "energy_j")["value"] == pytest.approx(truth_j(record, 150), rel=0.005)
    assert metric(record, "power_mean_w")["value"] == pytest.approx(150, rel=0.005)


def test_repeats_stay_within_the_time_limit(boards):
    """The first block suffices when there is no time for another one."""
    fields = {"limits.timeout_seconds": 30, "energy.max_repeats": 1000, "energy.target_uncertainty": 0.0001,
              "max_output_tokens": 100}
    record, _ = boards([board(load=[{"type": "llm", "scale": 1.0, "seed": 3}])], fields)
    assert metric(record, "repeats")["value"] == 1
    assert "below_resolution" in record["flags"]


def test_a_board_without_any_channel_makes_the_sum_absent(boards):
    """It is the run's as the other is; what it drew is not known, so neither is the sum."""
    second = board(uuid="GPU-11111111-0000-4000-8000-000000000000", counter=False, instant=False, average=False)
    record, done = boards([board(), second], BOTH)
    energy = metric(record, "energy_j")
    assert energy["value"] is None and "GPU-11111111" in energy["reason"]
    each = record["energy"]["scopes"][0]["per_board"]
    assert [b["joules"]["status"] for b in each] == ["simulated", "absent"]
    assert each[1]["systematic"]["gain_u"] is None
    assert "absent" in done.stdout


def test_a_gpu_engine_whose_board_has_no_channel(boards, llem):
    llem.env["CUDA_VISIBLE_DEVICES"] = UUID
    bare = board(counter=False, instant=False, average=False)
    record, _ = boards([bare, board(uuid="GPU-11111111-0000-4000-8000-000000000000")])
    reason = metric(record, "energy_j")["reason"]
    assert UUID in reason and "CPU" not in reason


def test_a_model_of_the_cpu_side_is_not_a_gpu_engine_s_energy_without_a_word(boards):
    record, done = boards([board()], {"energy.modelled": True, "energy.backend": "rapl"})
    assert "gpu_not_in_scope" in record["flags"]
    assert "the scope of this energy has no GPU in it" in done.stdout


def test_a_run_that_needs_a_gpu_is_refused_where_there_is_none(llem, tmp_path):
    llem.env["LLEM_NVML_LIBRARY"] = "/nowhere/libnvidia-ml.so.1"
    path = write(tmp_path / "s.yaml", WORK)
    done = llem.run("run", path, "-o", tmp_path / "results")
    assert done.returncode == 2 and not (tmp_path / "results").exists()
    assert "s.yaml:" in done.stderr and "cannot load /nowhere/libnvidia-ml.so.1" in done.stderr


def test_one_lost_board_makes_the_sum_absent(boards):
    second = board(uuid="GPU-11111111-0000-4000-8000-000000000000", lost_s=4)
    record, done = boards([board(), second], BOTH)
    energy = metric(record, "energy_j")
    assert energy["value"] is None
    assert "GPU-11111111" in energy["reason"]
    assert metric(record, "tokens_out")["value"] == 24
    assert "absent" in done.stdout


# Grace Hopper: the counter of the call without a scope is of GPU, CPU and memory (150 W beside the GPU's 200).
MODULE = {"module": True, "name": "NVIDIA GH200 480GB"}


@pytest.mark.parametrize("fields, scope, watts, method", [
    ({}, None, None, None),
    ({"energy.scope": "module"}, "GPU module", 350, "padded_counter"),
    ({"energy.scope": "board"}, "GPU board", 200, "padded_power"),
])
def test_of_board_and_module_neither_counts_before_the_other(boards, fields, scope, watts, method):
    wander = [{"type": "constant", "watts": 200}, {"type": "wander", "watts": 1}]
    record, done = boards([board(**MODULE, load=wander)], {"max_output_tokens": 60, **fields})
    energy = metric(record, "energy_j")
    assert record["energy"]["scope"] == scope
    by_scope = {s["scope"]: s for s in record["energy"]["scopes"]}
    assert set(by_scope) == {"GPU board", "GPU module"}
    assert by_scope["GPU board"]["joules"]["value"] == pytest.approx(truth_j(record, 200), rel=0.02)
    assert by_scope["GPU module"]["joules"]["value"] == pytest.approx(truth_j(record, 350), rel=0.02)
    assert (by_scope["GPU board"]["method"], by_scope["GPU module"]["method"]) == ("padded_power", "padded_counter")
    if scope is None:
        assert energy["value"] is None and "energy.scope: board or module" in energy["reason"]
        assert "energy.scope: board or module" in done.stdout
        assert "No sensor measured" not in done.stdout
        assert "none of their scopes is the run's energy: GPU module, GPU board." in " ".join(done.stdout.split())
        assert "an energy of its board and one of its module" in done.stderr  # said before the run, too
    else:
        assert (energy["value"], energy["method"]) == (by_scope[scope]["joules"]["value"], method)


def test_a_scope_that_is_not_there_is_said(boards):
    record, _ = boards([board()], {"energy.scope": "module"})
    assert metric(record, "energy_j")["value"] is None
    assert "energy.scope is module, and no sensor" in metric(record, "energy_j")["reason"]


@pytest.mark.parametrize("more, faults, scopes", [
    ({}, [], {"energy": "GPU module"}),
    ({"module_gpu_counter": "own"}, [], {"energy": "GPU board", "energy_module": "GPU module"}),
    ({"module_gpu_counter": "module"}, [], {"energy": "GPU module"}),  # though the driver says the GPU's
    ({"module_gpu_counter": "own"}, [185, 186], {"energy": "GPU board or module", "energy_module": "GPU module"}),
])
def test_the_scope_of_a_counter_is_what_it_agrees_with(llem, build_dir, tmp_path, more, faults, scopes):
    script = {"devices": [board(**MODULE, **more)], "faults": [{"call": "nvmlDeviceGetFieldValues", "field": f} for f in faults]}
    (tmp_path / "boards.json").write_text(json.dumps(script))
    llem.env |= {"LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so"), "LLEM_NVML_SIM": str(tmp_path / "boards.json")}
    channels = json.loads(llem.ok("meter", "list", "--json", "--sysroot", tmp_path))["channels"]
    found = {c["id"].split(":")[-1]: c["scope"] for c in channels if c["kind"] in ("energy", "power_instant", "power_average")}
    places = (("", "board"), ("_module", "module"))
    power = {} if faults else {f"power_{k}{s}": f"GPU {w}" for k in ("instant", "average") for s, w in places}
    assert found == {**({"power_instant": "GPU board", "power_average": "GPU board"} if faults else power), **scopes}


def check_integrated_power(record):
    """The number is there, by the board's power readings, and as good as they are."""
    energy = metric(record, "energy_j")
    assert energy["method"] == "padded_power"
    assert energy["sensor"].endswith(":power_average")
    assert energy["value"] == pytest.approx(truth_j(record), rel=0.02)
    assert energy["low"] < truth_j(record) < energy["high"]
    assert metric(record, "joules_per_output_token")["value"] is not None


@pytest.mark.parametrize("fault, flag", [("reset_s", "counter_reset"), ("stuck_s", "counter_stuck")])
def test_counter_that_fails_during_the_run_gives_way_to_power(boards, fault, flag):
    record, done = boards([board(counter={fault: 6.5})], {"max_output_tokens": 60})
    assert {flag, "fallback"} <= set(record["flags"])
    assert flag in done.stdout
    check_integrated_power(record)


def test_counter_that_always_stood_still_is_no_sensor(boards):
    """Found before the run: not a fall-back of this run, a board without a counter, and the record says why."""
    record, _ = boards([board(counter={"stuck_s": 0})])
    assert any(":energy was not used" in w and "stands still" in w for w in record["warnings"])
    assert not {"counter_stuck", "fallback"} & set(record["flags"])
    check_integrated_power(record)


def test_nothing_is_carried_on_over_a_time_without_readings(boards):
    """All that gives joules stops in the middle of the work and never comes back: no number, and from when on."""
    faults = [{"call": call, **field, "return": "UNKNOWN", "from_s": 6.5}
              for call, field in [("nvmlDeviceGetFieldValues", {"field": f}) for f in (83, 185, 186)]]
    record, done = boards([board()], {"max_output_tokens": 60}, faults)
    energy = metric(record, "energy_j")
    assert energy["value"] is None, energy
    assert re.search(r"no reading from \d+\.\d\d s to .* s of the work's .* s \(error\)", energy["reason"]), energy
    assert "gap" in record["flags"]


def test_no_permission_is_said(llem, build_dir, tmp_path):
    script = tmp_path / "boards.json"
    faults = [{"call": call, "return": "NO_PERMISSION"} for call in ("nvmlInit_v2", "nvmlInitWithFlags")]
    script.write_text(json.dumps({"devices": [board()], "faults": faults}))
    env = {"LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so"), "LLEM_NVML_SIM": str(script)}
    done = llem.run("run", write(tmp_path / "s.yaml", WORK), "-o", tmp_path / "results", env=env)
    assert done.returncode == 2 and ") does not start" in done.stderr
    assert "run as root or join the group" in done.stderr


def test_calibration_keeps_both(boards, tmp_path):
    folder = tmp_path / "calibration"
    folder.mkdir()
    file = {"uuid": UUID, "gain": 1.25, "offset_w": 0.0, "u_gain": 0.01, "method": "test", "date": "2026-01-01"}
    (folder / f"{UUID}.json").write_text(json.dumps(file))
    record, _ = boards([board()], {"energy.calibration": str(folder)})
    scope = record["energy"]["scopes"][0]
    assert scope["raw_j"] == pytest.approx(truth_j(record), rel=0.005)
    assert metric(record, "energy_j")["value"] == pytest.approx(truth_j(record) / 1.25, rel=0.005)
    assert "uncalibrated" not in record["flags"]


@pytest.mark.parametrize("devices", [1, 2])
def test_joules_come_from_the_folder_alone(boards, build_dir, tmp_path, devices):
    """The energy of a scope is a function of what was read: no meter, sampler or experiment is needed to have it again."""
    uuids = [UUID, "GPU-11111111-0000-4000-8000-000000000000"]
    record, _ = boards([board(uuid=uuid) for uuid in uuids[:devices]])
    run = the_study(tmp_path / "results").runs[0]
    again = json.loads(subprocess.check_output([build_dir / "tests" / "joules-of-trace", run]))
    scopes = {scope["scope"]: scope["joules"]["value"] for scope in record["energy"]["scopes"]}
    assert set(again) == set(scopes) == {"GPU board"}
    assert again["GPU board"] == pytest.approx(scopes["GPU board"], rel=1e-5)


@pytest.mark.parametrize("form", ["file", "folder"])
@pytest.mark.parametrize("wrong, said", [
    ({"uuid": "GPU-11111111-0000-4000-8000-000000000000"}, "it is the calibration of GPU-11111111-"),
    ({"gain": 95}, "expected a gain of 0.5 to 2"),
])
def test_wrong_calibration_is_an_error_before_the_study(llem, build_dir, tmp_path, form, wrong, said):
    """Of another board, or with a gain that cannot be: no run begins. The right file of one of two boards is none."""
    (tmp_path / "boards.json").write_text(json.dumps({"devices": [board(uuid=UUID), board(uuid=UUID[:-1] + "1")]}))
    env = {"LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so"), "LLEM_NVML_SIM": str(tmp_path / "boards.json")}
    file = tmp_path / f"{UUID}.json"
    place = file if form == "file" else tmp_path
    right = {"uuid": UUID, "gain": 1.01, "offset_w": 0.0, "u_gain": 0.01}
    study = write(tmp_path / "s.yaml", {**WORK, "energy.calibration": str(place)})
    file.write_text(json.dumps({**right, **wrong}))
    done = llem.run("run", study, "-o", tmp_path / "results", env=env)
    assert done.returncode == 2 and "error: energy.calibration: " in done.stderr and said in done.stderr
    assert not (tmp_path / "results").exists()
    file.write_text(json.dumps(right))
    assert "sensor.calibration" in llem.run("doctor", study, env=env).stdout
    assert "energy.calibration" not in llem.run("plan", study, env=env).stderr


def test_broken_calibration_is_told_once(boards, tmp_path):
    """Not used, and said once, though its energy is asked for before the work is judged and again for the record."""
    folder = tmp_path / "calibration"
    folder.mkdir()
    (folder / f"{UUID}.json").write_text(json.dumps({"uuid": UUID, "gain": 95, "offset_w": 0.0, "u_gain": 0.01}))
    record, _ = boards([board()], {"energy.calibration": str(folder)}, arguments=["--skip-preflight"])
    assert len([w for w in record["warnings"] if w.startswith(f"calibration of {UUID} not used: ")]) == 1
    assert "uncalibrated" in record["flags"]
    assert metric(record, "energy_j")["value"] == pytest.approx(truth_j(record), rel=0.005)


def test_work_too_short_is_repeated(boards):
    """120 ms of work on a sensor of 100 ms: repeated in one window until the interval is as asked, or said."""
    fields = {"max_output_tokens": 3, "energy.max_repeats": 6, "energy.target_uncertainty": 0.01}
    record, _ = boards([board(load=[{"type": "square", "low_w": 100, "watts": 300, "period_ms": 37, "duty": 0.5}])], fields)
    repeats = metric(record, "repeats")["value"]
    assert repeats == 6 or "below_resolution" not in record["flags"]
    assert repeats > 1
    assert metric(record, "requests")["value"] == repeats
    assert "unequal_work" not in record["flags"]


def processor(root, model):
    """The first lines of /proc/cpuinfo of an Intel processor: what is assumed of its counters follows from them."""
    (root / "proc").mkdir()
    (root / "proc/cpuinfo").write_text(f"processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: {model}\n")


@pytest.fixture
def powercap(tmp_path):
    """A RAPL package in files that draws 50 W all the time."""
    folder = tmp_path / "root/sys/class/powercap/intel-rapl:0"
    folder.mkdir(parents=True)
    (folder / "name").write_text("package-0\n")
    (folder / "max_energy_range_uj").write_text("262143328850\n")
    with counting(folder / "energy_uj", 50, 0.001):
        yield tmp_path / "root"


def test_the_sampler_wakes_when_it_is_asked(llem, tmp_path, powercap):
    """Its own readings are a second apart, and nothing it reads takes long: at no end of loading or of the work does it sleep on."""
    processor(powercap, 85)
    llem.env |= {"LLEM_NVML_LIBRARY": "/nowhere/libnvidia-ml.so.1", "LLEM_SYSROOT": str(powercap)}
    fields = {**WORK, "sim.device": "cpu", "max_output_tokens": 30, "energy.sample_period_ms": 1000, "sim.load_ms": 700}
    llem.ok("run", write(tmp_path / "s.yaml", fields), "-o", tmp_path / "results", timeout=150)
    record = the_study(tmp_path / "results").result()
    assert metric(record, "energy_j")["method"] == "direct_difference"
    assert 0 < record["sampler"]["mark_wake_max_ns"] < 0.2e9, record["sampler"]


@pytest.mark.parametrize("model, sensor_class, width", [(85, "rapl.intel", 0.3), (158, "rapl.intel.model", 0.6)])
def test_powercap_counts_all_the_time(llem, tmp_path, powercap, model, sensor_class, width):
    """It is polled slowly, but the register hides nothing: no beat, no gap, no part unseen, and an interval to match:
    wider where the counter is taken for a model."""
    processor(powercap, model)
    fields = {**WORK, "sim.device": "cpu", "max_output_tokens": 60, "sim.token_us": 50000}
    llem.env["LLEM_NVML_LIBRARY"] = "/nowhere/libnvidia-ml.so.1"
    llem.ok("run", write(tmp_path / "s.yaml", fields), "-o", tmp_path / "results", env={"LLEM_SYSROOT": str(powercap)})
    record = the_study(tmp_path / "results").result()
    energy = metric(record, "energy_j")
    assert energy["status"] == "measured" and "rapl" in energy["sensor"], energy
    assert energy["value"] == pytest.approx(truth_j(record, 50), rel=0.02)
    assert width / 2 < (energy["high"] - energy["low"]) / energy["value"] < width  # the prior is most of it
    prior = record["energy"]["scopes"][0]["systematic"]
    assert prior["class"] == sensor_class and prior["model_based"] == (sensor_class != "rapl.intel")
    assert not {"phase_locked", "partial_coverage", "gap", "below_resolution"} & set(record["flags"]), record["flags"]


def test_the_sampler_reads_at_the_ends_of_the_work(llem, build_dir, tmp_path, powercap):
    """Its thread is woken for them, though its next reading is half a second away and a driver it asks takes 20 ms a call: a
    reading lies right before the work and one right after it, and no energy goes to what reading costs."""
    processor(powercap, 85)
    (tmp_path / "boards.json").write_text(json.dumps({"devices": [board()], "latency": {"base_us": 20000}}))
    llem.env |= {"LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so"), "LLEM_NVML_SIM": str(tmp_path / "boards.json")}
    fields = {**WORK, "sim.device": "cpu", "max_output_tokens": 30, "energy.modelled": True, "energy.sample_period_ms": 500}
    llem.ok("run", write(tmp_path / "s.yaml", fields), "-o", tmp_path / "results", env={"LLEM_SYSROOT": str(powercap)}, timeout=150)
    study = the_study(tmp_path / "results")
    record = study.result()
    energy, window = metric(record, "energy_j"), record["timing"]["window"]
    assert energy["method"] == "direct_difference" and "rapl" in energy["sensor"], energy
    assert energy["value"] == pytest.approx(truth_j(record, 50), rel=0.02)
    assert 0 < record["sampler"]["mark_wake_max_ns"] <= record["sampler"]["tick_max_ns"] + 0.1e9  # what it is at comes first
    with gzip.open(study.runs[0] / "trace.csv.gz", "rt") as file:
        rows = [line.split(",") for line in file if ",modelled:engine:energy," in line]
    times = [int(row[0]) for row in rows]
    before, after = max(t for t in times if t <= window["t0_ns"]), min(t for t in times if t >= window["t1_ns"])
    assert window["t0_ns"] - before < 0.1e9 and after - window["t1_ns"] < 0.1e9


def test_a_model_divided_over_gpu_and_cpu(llem, build_dir, tmp_path, powercap):
    """Both scopes, never added; J/token is of the GPU and says so, and is not compared with that of a GPU that does it all."""
    (tmp_path / "boards.json").write_text(json.dumps({"devices": [board()]}))
    llem.env |= {"LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so"), "LLEM_SYSROOT": str(powercap),
                 "LLEM_NVML_SIM": str(tmp_path / "boards.json")}
    fields = {**WORK, "max_output_tokens": 40}
    del fields["sim.device"]
    out = llem.ok("run", write(tmp_path / "s.yaml", fields, sweep={"sim.device": ["gpu", "both"]},
                                execution={"n_cycles": 1}), "-o", tmp_path / "results",
                  timeout=150)
    study = the_study(tmp_path / "results")
    check_records(llem, study)
    whole, part = sorted((study.result(i) for i in range(2)), key=lambda r: len(r["machine"]["devices"]))
    assert (whole["machine"]["devices"], part["machine"]["devices"]) == (["gpu"], ["gpu", "cpu"])
    assert "gpu_only" in part["flags"] and "gpu_only" not in whole["flags"]
    scopes = {s["scope"]: s["joules"]["value"] for s in part["energy"]["scopes"]}
    assert set(scopes) == {"GPU board", "CPU package"} and part["energy"]["scope"] == "GPU board"
    assert scopes["GPU board"] == pytest.approx(truth_j(part), rel=0.005)
    assert scopes["CPU package"] == pytest.approx(truth_j(part, 50), rel=0.02)
    assert metric(part, "energy_j")["value"] == scopes["GPU board"]
    assert metric(part, "joules_per_output_token")["value"] == pytest.approx(scopes["GPU board"] / 40)
    assert "a part of the model is computed on the CPU" in out and "kinds of devices that compute differ" in out
    shown = llem.ok("show", study.runs[[study.result(i) == part for i in range(2)].index(True)])
    assert "  GPU board: " in shown and "  CPU package: " in shown and "  gpu_only: " in shown


@contextmanager
def phase_begun(results, phase, after_s):
    """An event that is set so long after a phase of the run began."""
    begun, over = threading.Event(), threading.Event()

    def follow():
        while not over.wait(0.02):
            for path in results.rglob("progress.jsonl"):
                if f'"{phase}"' in path.read_text():
                    over.wait(after_s)
                    begun.set()
                    return

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield begun
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("jump_j, broken", [(200, True), (2, False)])
def test_a_counter_may_jump_by_a_few_refreshes_and_no_more(llem, tmp_path, jump_j, broken):
    """200 J at once are less than a package could draw in a second, and far more than in three refreshes of a millisecond:
    the counter is broken and not used. 2 J are what it may have drawn since it was last read."""
    folder = tmp_path / "root/sys/class/powercap/intel-rapl:0"
    folder.mkdir(parents=True)
    (folder / "name").write_text("package-0\n")
    (folder / "max_energy_range_uj").write_text("262143328850\n")
    llem.env |= {"LLEM_NVML_LIBRARY": "/nowhere/libnvidia-ml.so.1", "LLEM_SYSROOT": str(tmp_path / "root")}
    fields = {**WORK, "sim.device": "cpu", "max_output_tokens": 120, "sim.token_us": 50000}
    with phase_begun(tmp_path / "results", "measure", 4) as begun, counting(folder / "energy_uj", 50, 0.001, jump_j, begun):
        llem.ok("run", write(tmp_path / "s.yaml", fields), "-o", tmp_path / "results")
        assert begun.is_set()
    record = the_study(tmp_path / "results").result()
    energy = metric(record, "energy_j")
    assert ("counter_reset" in record["flags"]) == broken, record["flags"]
    if broken:
        assert energy["value"] is None and "rapl:package-0:energy" in energy["reason"]
    else:
        assert energy["value"] == pytest.approx(truth_j(record, 50) + jump_j, rel=0.02)


def test_dies_that_show_one_counter_are_counted_once(llem, tmp_path, powercap):
    """Kernels list dies whose register is the package's: the second is the first again."""
    first, second = (powercap / f"sys/class/powercap/intel-rapl:{i}" for i in range(2))
    second.mkdir()
    (first / "name").write_text("package-0-die-0\n")
    (second / "name").write_text("package-0-die-1\n")
    (second / "max_energy_range_uj").write_text("262143328850\n")
    (second / "energy_uj").symlink_to(first / "energy_uj")
    llem.env |= {"LLEM_NVML_LIBRARY": "/nowhere/libnvidia-ml.so.1", "LLEM_SYSROOT": str(powercap)}
    fields = {**WORK, "sim.device": "cpu", "max_output_tokens": 60, "sim.token_us": 50000}
    llem.ok("run", write(tmp_path / "s.yaml", fields), "-o", tmp_path / "results")
    study = the_study(tmp_path / "results")
    check_records(llem, study)
    record = study.result()
    assert metric(record, "energy_j")["value"] == pytest.approx(truth_j(record, 50), rel=0.02), metric(record, "energy_j")
    assert "counter_mirrored" in record["flags"]
    assert "package-0-die-1 shows the counter of package-0-die-0: it was counted once" in record["warnings"]


def test_a_package_without_its_counter_makes_the_sum_absent(llem, tmp_path, powercap):
    second = powercap / "sys/class/powercap/intel-rapl:1"
    second.mkdir()
    (second / "name").write_text("package-1\n")
    (second / "max_energy_range_uj").write_text("262143328850\n")
    llem.env |= {"LLEM_NVML_LIBRARY": "/nowhere/libnvidia-ml.so.1", "LLEM_SYSROOT": str(powercap)}
    llem.ok("run", write(tmp_path / "s.yaml", {**WORK, "sim.device": "cpu"}), "-o", tmp_path / "results")
    study = the_study(tmp_path / "results")
    check_records(llem, study)
    energy = metric(study.result(), "energy_j")
    assert energy["value"] is None
    assert "package-1" in energy["reason"] and "energy_uj" in energy["reason"]


@pytest.fixture
def hwmon(tmp_path):
    folder = tmp_path / "root/sys/class/hwmon/hwmon0"
    folder.mkdir(parents=True)
    (folder / "name").write_text("supply\n")
    return folder


BY_HWMON = {**WORK, "sim.device": "cpu", "max_output_tokens": 60, "sim.token_us": 50000, "energy.backend": "hwmon"}


def test_a_sensor_slower_than_was_known_is_measured_again(llem, tmp_path, hwmon):
    """`llem meter characterise` is remembered; what a run sees beats it: guards are planned anew, and it is kept."""
    llem.env |= {"LLEM_NVML_LIBRARY": "/nowhere/libnvidia-ml.so.1", "LLEM_SYSROOT": str(tmp_path / "root"),
                 "XDG_CACHE_HOME": str(tmp_path / "cache")}
    (hwmon / "energy1_label").write_text("Esocket0\n")
    with counting(hwmon / "energy1_input", 40, 0.01):
        llem.ok("meter", "characterise", "--duration", "1", "-s", "hwmon")
    [kept] = (tmp_path / "cache/llem/sensors").iterdir()
    [name] = json.loads(kept.read_text())["channels"]
    with counting(hwmon / "energy1_input", 40, 0.4) as counter:
        time.sleep(0.5)
        llem.ok("run", write(tmp_path / "s.yaml", BY_HWMON), "-o", tmp_path / "results")
    record = the_study(tmp_path / "results").result()
    assert record["energy"]["characterisation"]["channels"][name]["period_ns"] == pytest.approx(0.4e9, rel=0.1)
    assert "period_changed" not in record["flags"]
    truth = truth_j(record, 40)
    assert metric(record, "energy_j")["value"] == pytest.approx(truth, abs=0.02 * truth + 4 * counter.late_j)
    assert json.loads(kept.read_text())["channels"][name]["period_ns"] == pytest.approx(0.4e9, rel=0.1)
    # with guards of a given length there is nothing to plan anew: then it is a doubt
    with counting(hwmon / "energy1_input", 40, 0.8):
        time.sleep(0.9)
        fields = {**BY_HWMON, "energy.guard_ms": 4500}
        llem.ok("run", write(tmp_path / "t.yaml", fields), "-o", tmp_path / "again")
    assert "period_changed" in the_study(tmp_path / "again").result()["flags"]


@contextmanager
def wandering(path, is_bad=lambda k: False, bad_w=4.4e9, every_s=0.013):
    """A file of microwatts about 50 W, written anew every so often; another value where is_bad."""
    path.write_text(f"{50000000:018d}\n")
    over = threading.Event()

    def wander():
        file = os.open(path, os.O_WRONLY)
        for k in itertools.count():
            if over.wait(every_s):
                break
            value = int(bad_w * 1e6) if is_bad(k) else 50000000 + 100000 * (k % 3 - 1)
            os.pwrite(file, f"{value:018d}\n".encode(), 0)
        os.close(file)

    thread = threading.Thread(target=wander)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def run_by_hwmon(llem, tmp_path):
    llem.env |= {"LLEM_NVML_LIBRARY": "/nowhere/libnvidia-ml.so.1", "LLEM_SYSROOT": str(tmp_path / "root"),
                 "XDG_CACHE_HOME": str(tmp_path / "cache")}
    llem.ok("run", write(tmp_path / "s.yaml", BY_HWMON), "-o", tmp_path / "results")
    return the_study(tmp_path / "results").result()


@pytest.mark.parametrize("bad_w, limit", [(4.4e9, None), (600, None), (130, "power1_rated_max")], ids=["GW", "12 times", "limit"])
def test_power_that_nothing_can_have_drawn_is_left_out(llem, tmp_path, hwmon, bad_w, limit):
    """A chip shows another value than its 50 W for a tenth of a second now and then: more than it can draw, by its limit or by what else
    it shows."""
    if limit:
        (hwmon / limit).write_text("80000000\n")
    with wandering(hwmon / "power1_input", lambda k: 150 <= k % 400 < 158, bad_w):
        record = run_by_hwmon(llem, tmp_path)
    energy = metric(record, "energy_j")
    assert energy["value"] == pytest.approx(truth_j(record, 50), rel=0.02)
    assert "readings_dropped" in record["flags"]
    assert record["energy"]["scopes"][0]["readings_dropped"] > 0


def test_a_socket_s_counter_answers_unasked(llem, tmp_path, hwmon):
    """It is known what it covers, and nothing better is there. The chip is found again by the device behind it."""
    (hwmon / "name").write_text("amd_energy\n")
    (hwmon / "energy1_label").write_text("Esocket0\n")
    (tmp_path / "root/sys/devices/amd_energy.0").mkdir(parents=True)
    (hwmon / "device").symlink_to(tmp_path / "root/sys/devices/amd_energy.0")
    llem.env |= {"LLEM_NVML_LIBRARY": "/nowhere/libnvidia-ml.so.1", "LLEM_SYSROOT": str(tmp_path / "root")}
    with counting(hwmon / "energy1_input", 40, 0.01):
        llem.ok("run", write(tmp_path / "s.yaml", {**BY_HWMON, "energy.backend": "auto"}), "-o", tmp_path / "results")
    record = the_study(tmp_path / "results").result()
    energy = metric(record, "energy_j")
    assert energy["value"] == pytest.approx(truth_j(record, 40), rel=0.02)
    assert energy["sensor"] == "hwmon:amd_energy@amd_energy.0:energy1:energy"
    assert record["energy"]["scope"] == "CPU socket (hwmon)"


def test_a_sensor_of_unknown_coverage_says_so(llem, tmp_path, hwmon):
    llem.env |= {"LLEM_NVML_LIBRARY": "/nowhere/libnvidia-ml.so.1", "LLEM_SYSROOT": str(tmp_path / "root")}
    fields = {**WORK, "sim.device": "cpu", "max_output_tokens": 4}
    with wandering(hwmon / "power1_input"):
        done = llem.run("run", write(tmp_path / "s.yaml", fields), "-o", tmp_path / "results")
    assert "hwmon:supply:power1:power_instant (supply power1) shows energy or power, and what it covers" in done.stderr
    energy = metric(the_study(tmp_path / "results").result(), "energy_j")
    assert energy["value"] is None and "energy.backend: hwmon takes it" in energy["reason"]


def test_a_model_does_not_hide_a_sensor(llem, tmp_path, hwmon):
    """Both are there: what the sensor covers is not known, so the model that was asked for stands, and says what it stands beside."""
    llem.env |= {"LLEM_NVML_LIBRARY": "/nowhere/libnvidia-ml.so.1", "LLEM_SYSROOT": str(tmp_path / "root")}
    fields = {**WORK, "sim.device": "cpu", "max_output_tokens": 4, "energy.modelled": True}
    with wandering(hwmon / "power1_input"):
        llem.ok("run", write(tmp_path / "s.yaml", fields), "-o", tmp_path / "results")
    record = the_study(tmp_path / "results").result()
    assert metric(record, "energy_j")["status"] == "modelled"
    assert any("hwmon:supply:power1:power_instant is here, and what it covers is not known" in w for w in record["warnings"])


@pytest.mark.parametrize("text, words", [("", "is empty"), ("-1\n", "all ones"), ("4294967295\n", "all ones")])
def test_a_file_without_a_value_is_no_sensor(llem, tmp_path, hwmon, text, words):
    (hwmon / "power1_input").write_text(text)
    tree = json.loads(llem.ok("meter", "list", "--json", "--sysroot", tmp_path / "root"))
    [row] = [row for row in tree["channels"] if row["source"] == "hwmon"]
    assert row["status"] == "absent" and words in row["reason"]


def test_a_power_file_asked_for_by_name(llem, tmp_path, hwmon):
    """It is read ten times a second; nothing is known of its window, so the least that any sensor sees is assumed."""
    with wandering(hwmon / "power1_input"):
        record = run_by_hwmon(llem, tmp_path)
    assert metric(record, "energy_j")["value"] == pytest.approx(truth_j(record, 50), rel=0.02)
    assert not {"gap", "period_changed"} & set(record["flags"]), record["flags"]
    assert "partial_coverage" in record["flags"]


def without_root_s_exemption():
    """Root reads whatever it likes; without these capabilities the permission bits bind it like anybody else."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            if libc.prctl(24, capability, 0, 0, 0) != 0:  # PR_CAPBSET_DROP: gone after the exec
                raise OSError(ctypes.get_errno(), "PR_CAPBSET_DROP")


@pytest.fixture
def unreadable(llem, powercap):
    """The powercap counter without permission to read it; options for a program that is bound by that."""
    counter = powercap / "sys/class/powercap/intel-rapl:0/energy_uj"
    counter.chmod(0o400 if os.geteuid() == 0 else 0)
    if os.geteuid() == 0:
        os.chown(counter, 65534, 65534)
    llem.env |= {"LLEM_NVML_LIBRARY": "/nowhere/libnvidia-ml.so.1", "LLEM_SYSROOT": str(powercap)}
    return counter, {"preexec_fn": without_root_s_exemption}


def run_without_permission(llem, tmp_path, options):
    llem.ok("run", write(tmp_path / "s.yaml", {**WORK, "sim.device": "cpu"}), "-o", tmp_path / "results", **options)
    study = the_study(tmp_path / "results")
    check_records(llem, study)
    return study.result()


def test_a_powercap_file_without_permission_is_no_number(llem, tmp_path, unreadable):
    counter, options = unreadable
    record = run_without_permission(llem, tmp_path, options)
    for name in ("energy_j", "joules_per_output_token", "power_mean_w"):
        assert metric(record, name)["status"] == "absent" and metric(record, name)["value"] is None
    assert "llem meter" in metric(record, "energy_j")["reason"]
    said = llem.ok("meter", "list", **options)
    assert f"cannot read {counter}: Permission denied" in said and "chgrp" in said


def test_a_powercap_file_without_permission_is_named_in_the_record(llem, tmp_path, unreadable):
    counter, options = unreadable
    record = run_without_permission(llem, tmp_path, options)
    assert f"cannot read {counter}: Permission denied" in json.dumps(record)
