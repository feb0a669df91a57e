"""What a run begins with: the order of idle, warm-up and work, shapes that were warmed, clocks and temperatures in the
record, and when an idle level is a cold one."""

import json
import time

import pytest

from counters import counting
from studies import check_records, metric, the_study, write
from test_sensors import BY_HWMON, WORK, board, boards, hwmon  # noqa: F401 (fixtures)

WARM = {"warmup.enabled": True, "warmup.n_warmup": 2, "warmup.max_prompts": 4, "warmup.thermal_floor_seconds": 0,
        "warmup.cv_threshold": 0.9, "warmup.slope_threshold": 0.9}


def test_idle_before_the_warm_up_and_the_work_right_behind_it(boards):  # noqa: F811
    """Nothing but the quiet that the sensor needs lies between: no idle stretch in which a board cools down."""
    record, _ = boards([board()], {**WARM, "max_output_tokens": 12, "baseline.enabled": True, "baseline.duration_seconds": 6})
    timing = record["timing"]
    assert timing["idle_context"]["t1_ns"] <= timing["warmup"]["t0_ns"]
    assert timing["window"]["guard_from_ns"] - timing["warmup"]["t1_ns"] < 1e9
    assert timing["window"]["t0_ns"] - timing["window"]["guard_from_ns"] < 5e9
    assert timing["idle_after"]["t0_ns"] >= timing["window"]["guard_to_ns"]
    # boards hold a shelf for 1.8 s behind loading and behind the work: it is in neither level
    assert timing["idle_context"]["t0_ns"] - timing["load"]["t1_ns"] > 2e9
    assert timing["idle_after"]["t0_ns"] - timing["window"]["t1_ns"] > 2e9
    assert record["steadiness"]["rewarmed"] is False


@pytest.mark.parametrize("warm_up", [True, False])
def test_an_engine_that_rested_is_warmed_once_more(boards, warm_up):  # noqa: F811
    """Work that has to be repeated follows the guard of the first block: seconds in which a board lowers its clocks."""
    fields = {**WARM, "max_output_tokens": 3, "sim.token_us": 20000, "energy.max_repeats": 4, "energy.target_uncertainty": 0.0001}
    record, _ = boards([board()], {**fields, "warmup.enabled": warm_up})
    assert metric(record, "repeats")["value"] == 4
    assert record["steadiness"]["rewarmed"] is warm_up


@pytest.mark.parametrize("fields, shapes", [
    ({"n": 6, "sim.batch_size": 4}, 2),  # batches of 4 and of 2
    ({"n": 8, "sim.batch_size": 4}, 1),
    ({"n": 3, "sim.batch_size": 1}, 1),
])
def test_every_size_of_a_batch_is_warmed(llem, tmp_path, fields, shapes):
    quick = {"sim.token_us": 500, "max_output_tokens": 4, "energy.modelled": False}
    llem.env["LLEM_SYSROOT"] = str(tmp_path / "empty")
    llem.ok("run", write(tmp_path / "s.yaml", {**quick, **WARM, "warmup.max_prompts": 50, **fields}), "-o", tmp_path / "r")
    record = the_study(tmp_path / "r").result()
    assert record["steadiness"]["shapes"] == shapes
    assert record["steadiness"]["iterations"] >= 4 + shapes
    assert "cold_shape" not in record["flags"]


@pytest.mark.parametrize("fields", [
    {"warmup.enabled": False},
    {"warmup.max_prompts": 4},  # given up before it was steady, and before the batch of two had its turn
])
def test_a_size_that_was_not_warmed_is_told(llem, tmp_path, fields):
    quick = {"sim.token_us": 500, "max_output_tokens": 4, "energy.modelled": False, "n": 6, "sim.batch_size": 4}
    llem.env["LLEM_SYSROOT"] = str(tmp_path / "empty")
    llem.ok("run", write(tmp_path / "s.yaml", {**quick, **WARM, **fields}), "-o", tmp_path / "r")
    record = the_study(tmp_path / "r").result()
    assert "cold_shape" in record["flags"]
    assert "warm-up" in record["flag_meanings"]["cold_shape"]


def test_clocks_and_temperature_of_the_board_are_in_the_record(boards):  # noqa: F811
    record, _ = boards([board(temperature_c=61, clock_mhz=1410)])
    [gpu] = record["machine"]["gpus"]
    for moment in ("start", "end"):
        assert gpu[f"temperature_{moment}_c"] == 61
        assert gpu[f"clock_{moment}_hz"] == 1.41e9
        assert gpu[f"throttled_{moment}_s"] == 0


def test_a_board_that_is_throttled_says_so_by_whichever_reason(boards):  # noqa: F811
    """Each reason has a counter; that of heat is not the first of them."""
    record, _ = boards([board(throttled_share=0.4)])
    [gpu] = record["machine"]["gpus"]
    assert gpu["throttled_end_s"] == pytest.approx(0.4, abs=0.1)
    assert metric(record, "throttle_s")["value"] == pytest.approx(0.4 * metric(record, "window_s")["value"], abs=0.1)


def test_clocks_and_governors_of_the_cpus(llem, tmp_path):
    """As the kernel shows them: two CPUs of unlike clocks, one of which was throttled while the engine worked."""
    root = tmp_path / "root"
    for cpu in (0, 1):
        folder = root / f"sys/devices/system/cpu/cpu{cpu}"
        (folder / "cpufreq").mkdir(parents=True)
        (folder / "thermal_throttle").mkdir()
        (folder / "cpufreq/scaling_cur_freq").write_text(f"{(cpu + 1) * 1000000}\n")
        (folder / "cpufreq/scaling_governor").write_text(["powersave\n", "performance\n"][cpu])
        (folder / "thermal_throttle/core_throttle_count").write_text("7\n")
    llem.env["LLEM_SYSROOT"] = str(root)
    quick = {"sim.token_us": 500, "max_output_tokens": 4, "energy.modelled": False, "warmup.enabled": False}
    llem.ok("run", write(tmp_path / "s.yaml", quick), "-o", tmp_path / "r")
    cpu = the_study(tmp_path / "r").result()["machine"]["cpu"]
    assert cpu["cpus"] >= 1
    assert cpu["governors"] in ("powersave", "powersave, performance", "performance")
    assert 1e9 <= cpu["start"]["clock_least_hz"] <= cpu["start"]["clock_mean_hz"] <= cpu["end"]["clock_most_hz"] <= 2e9
    assert cpu["thermal_events"] == 0
    llem.env["LLEM_SYSROOT"] = str(tmp_path / "empty")
    llem.ok("run", write(tmp_path / "s.yaml", quick), "-o", tmp_path / "none")
    none = the_study(tmp_path / "none").result()["machine"]["cpu"]
    assert none["governors"] is None and none["start"]["clock_mean_hz"] is None
    assert "no clock" in none["start"]["clock_mean_hz_reason"]


def chip(root, index, name, **temperatures):
    folder = root / f"sys/class/hwmon/hwmon{index}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    for number, (label, celsius) in enumerate(temperatures.items(), 1):
        (folder / f"temp{number}_label").write_text(label.replace("_", " ") + "\n")
        (folder / f"temp{number}_input").write_text(f"{celsius * 1000}\n")


@pytest.mark.parametrize("chips, celsius", [
    ([("nvme", {"Composite": 70}), ("coretemp", {"Package_id_0": 48, "Core_0": 66}), ("coretemp", {"Package_id_1": 51})], 51),
    ([("k10temp", {"Tctl": 75, "Tdie": 65})], 65),
    ([("nvme", {"Composite": 70})], None),
], ids=["two packages", "die", "no CPU"])
def test_the_temperature_of_the_cpus(llem, tmp_path, chips, celsius):
    """Of the hottest package, as the chips of the kernel show it; of nothing else."""
    root = tmp_path / "root"
    for index, (name, temperatures) in enumerate(chips):
        chip(root, index, name, **temperatures)
    llem.env["LLEM_SYSROOT"] = str(root)
    quick = {"sim.token_us": 500, "max_output_tokens": 4, "energy.modelled": False, "warmup.enabled": False}
    llem.ok("run", write(tmp_path / "s.yaml", quick), "-o", tmp_path / "r")
    cpu = the_study(tmp_path / "r").result()["machine"]["cpu"]
    assert [cpu[moment]["temperature_c"] for moment in ("start", "end")] == [celsius, celsius]
    assert celsius or "no chip" in cpu["start"]["temperature_c_reason"]


@pytest.mark.parametrize("warmer, told", [(5, False), (9, True)])
def test_runs_that_began_warmer_are_compared_with_a_word(llem, tmp_path, warmer, told):
    """The second of two runs that are otherwise alike; the record says where each began, the table that they are apart."""
    chip(tmp_path / "root", 0, "coretemp", Package_id_0=48)
    llem.env["LLEM_SYSROOT"] = str(tmp_path / "root")
    quick = {"sim.token_us": 500, "max_output_tokens": 4, "energy.modelled": False, "warmup.enabled": False}
    llem.ok("run", write(tmp_path / "s.yaml", quick, execution={"n_cycles": 2}), "-o", tmp_path / "r")
    study = the_study(tmp_path / "r")
    path = study.runs[1] / "result.json"
    record = json.loads(path.read_text())
    record["machine"]["cpu"]["start"]["temperature_c"] += warmer
    path.write_text(json.dumps(record))
    note = "The work of run 2 began up to 9.0 K warmer than another's (at 48.0 °C)"
    assert (note in llem.ok("show", study.folder)) == told


BASELINE = {"baseline.enabled": True, "baseline.duration_seconds": 3}


@pytest.mark.parametrize("cools_c_per_s, is_cold", [(0, True), (1.5, False)])
def test_a_board_that_still_cools_is_not_cold(boards, cools_c_per_s, is_cold):  # noqa: F811
    record, _ = boards([board(temperature_c=80, cools_c_per_s=cools_c_per_s)], {**BASELINE, "max_output_tokens": 12})
    cold = metric(record, "idle_power_cold_w")
    if is_cold:
        assert cold["value"] == pytest.approx(200, rel=0.01)
    else:
        assert cold["value"] is None and cold["reason"].startswith("not cold: a board still cooled")
        assert record["timing"]["idle_cold"] is None
        assert metric(record, "energy_net_cold_idle_j")["value"] is None


def test_the_second_run_of_a_study_is_not_cold(llem, tmp_path, hwmon):  # noqa: F811
    """No sensor shows a temperature here: then the time since the run before is what tells."""
    llem.env |= {"LLEM_NVML_LIBRARY": "/nowhere/libnvidia-ml.so.1", "LLEM_SYSROOT": str(tmp_path / "root"),
                 "XDG_CACHE_HOME": str(tmp_path / "cache")}
    (hwmon / "energy1_label").write_text("Esocket0\n")
    path = write(tmp_path / "s.yaml", {**BY_HWMON, **BASELINE, "max_output_tokens": 20}, execution={"n_cycles": 2})
    with counting(hwmon / "energy1_input", 40, 0.01):
        time.sleep(0.1)
        llem.ok("run", path, "-o", tmp_path / "results")
    study = the_study(tmp_path / "results")
    check_records(llem, study)
    first, second = (study.result(i) for i in range(2))
    assert metric(first, "idle_power_cold_w")["value"] == pytest.approx(40, rel=0.05)
    assert metric(second, "idle_power_cold_w")["reason"].startswith("not cold: another run ended less than a minute before")
    assert metric(second, "idle_power_context_w")["value"] == pytest.approx(40, rel=0.05)
