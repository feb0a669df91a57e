"""A recorded set of studies: what a record holds (keys, statuses, reasons, flags) stays when the program is rebuilt.

Numbers, hashes, times, names of this machine and whatever depends on what else it does are masked; everything else of
each record is compared with tests/golden/recorded/. LLEM_UPDATE_GOLDEN=1 rewrites them, and the difference is read.
"""

import json
import re

import pytest

from counters import counting
from studies import metric, the_study, write

pytestmark = pytest.mark.timing

UUID = "GPU-00000000-0000-4000-8000-000000000000"
SECOND = "GPU-11111111-0000-4000-8000-000000000000"
WORK = {"n": 1, "max_output_tokens": 24, "sim.token_us": 43000, "energy.max_repeats": 1, "energy.modelled": False,
        "warmup.enabled": False}
GPU = {**WORK, "sim.device": "gpu"}

# Raised or not by what else the machine does while the test runs.
LOAD_FLAGS = {"foreign_cpu", "guard_cpu_drift", "guard_not_settled", "not_steady", "host_gaps", "gap", "late_samples",
              "below_resolution", "other_gpu_busy", "channels_disagree", "concurrent_study", "period_changed",
              "phase_locked", "cpu_contention", "paused"}
# There where a busy machine widened an interval.
LOAD_PARTS = {"recommended_repeats"}
# Parts that describe the machine or the build, not what was measured.
MACHINE = {"llem", "libraries", "trace", "sampler", "key", "host", "pauses"}


def masked_text(text):
    text = re.sub(r"[0-9a-f]{64}|\b[0-9a-f]{16}\b", "<hash>", text)
    text = re.sub(r"GPU-[0-9a-f-]{36}", lambda m: {UUID: "GPU-A", SECOND: "GPU-B"}.get(m.group(), m.group()), text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.Z-]+", "<time>", text)
    text = re.sub(r"(?<![\w/.])/[\w./ +-]*\w", "<path>", text)
    return re.sub(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?", "#", text)


def masked(value, key=""):
    if key in MACHINE:
        return "<machine>"
    if key == "environment":
        return {name: "<machine>" for name in value}
    if key == "flags" and isinstance(value, list):
        return [flag for flag in value if flag not in LOAD_FLAGS]
    if key == "warnings":
        return [masked_text(text) for text in value if not any(flag in text for flag in ("busy", "other process"))]
    if key == "phase" and isinstance(value, dict):  # a machine under load makes steps of its own
        return sorted(value)
    if isinstance(value, dict) and "status" in value and "value" in value:  # a quantity: one line
        return " ".join(name if isinstance(inner, (int, float)) else f"{name}={masked(inner)}" for name, inner in value.items())
    if isinstance(value, dict):
        dropped = LOAD_FLAGS if key == "flag_meanings" else LOAD_PARTS
        return {name: masked(inner, name) for name, inner in value.items() if name not in dropped}
    if isinstance(value, list):
        each = [masked(inner) for inner in value]
        return each[:1] + ["…"] if len(each) > 1 and all(inner == each[0] for inner in each) else each
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return "#"
    return masked_text(value)


def lines_of(value, indent=""):
    """JSON with whatever fits on a line on one."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(flat) <= 110 or not isinstance(value, (dict, list)):
        return flat
    pairs = [(json.dumps(k) + ": ", v) for k, v in value.items()] if isinstance(value, dict) else [("", v) for v in value]
    inner = ",\n".join(f"{indent} {head}{lines_of(v, indent + ' ')}" for head, v in pairs)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{inner}\n{indent}{closing}"


def compare(golden, name, tree, without=("config", "origins")):
    tree = {key: value for key, value in tree.items() if key not in without}
    golden(f"recorded/{name}.json", lines_of(masked(tree)) + "\n")


@pytest.fixture
def boards(llem, build_dir, tmp_path):
    def use(*devices, faults=None):
        script = tmp_path / "boards.json"
        script.write_text(json.dumps({"devices": devices, **({"faults": faults} if faults else {})}))
        llem.env |= {"LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so"), "LLEM_NVML_SIM": str(script)}

    return use


@pytest.fixture(autouse=True)
def no_sensors(llem):
    """None of this machine: neither its driver nor its counters."""
    llem.env |= {"LLEM_NVML_LIBRARY": "/nowhere/libnvidia-ml.so.1"}


def board(watts=200, **more):
    return {"load": [{"type": "constant", "watts": watts}], "average": {"window_ms": 1000}, **more}


def run(llem, fields=None, expect=0, **more):
    llem.env.setdefault("LLEM_SYSROOT", str(llem.folder / "empty"))  # clocks, governors, sensors are this machine's
    path = write(llem.folder / "s.yaml", fields, **more)
    done = llem.run("run", path, "-o", llem.folder / "results", timeout=150)
    assert done.returncode == expect, f"{done.stdout}\n{done.stderr}"
    return the_study(llem.folder / "results")


def test_modelled_sweep(llem, golden):
    study = run(llem, {"warmup.enabled": False, "sim.decode_load": 0.5, "sim.token_us": 60000},
                sweep={"sim.batch_size": [1, 2]}, execution={"n_cycles": 2, "order": "sequential"})
    assert study.states() == ["ok"] * 4
    record = study.result()
    record["energy"].pop("sources")  # those of this machine
    compare(golden, "modelled_sweep", record, without=())
    assert len({r["identity"]["config_hash"] for r in map(study.result, range(4))}) == 2


def test_no_energy(llem, golden):
    compare(golden, "no_energy", run(llem, {**WORK, "energy.backend": "none"}).result())


def test_no_sensor(llem, golden):
    compare(golden, "no_sensor", run(llem, WORK).result())


def test_one_board(llem, golden, boards):
    boards(board())
    compare(golden, "one_board", run(llem, {**GPU, "baseline.enabled": True, "baseline.duration_seconds": 2}).result())


def test_two_boards(llem, golden, boards):
    boards(board(), board(100, uuid=SECOND))
    compare(golden, "two_boards", run(llem, {**GPU, "gpus": [0, 1]}).result())


def test_a_calibrated_board(llem, golden, boards):
    boards(board())
    file = llem.folder / f"{UUID}.json"
    file.write_text(json.dumps({"uuid": UUID, "gain": 1.03, "offset_w": -4, "u_gain": 0.004, "method": "clamp", "date": "2026-01-01"}))
    compare(golden, "calibrated_board", run(llem, {**GPU, "energy.calibration": str(file)}).result())


def test_a_lost_board(llem, golden, boards):
    boards(board(), faults=[{"call": "nvmlDeviceGetFieldValues", "return": "GPU_IS_LOST", "from_s": 3.0}])
    compare(golden, "lost_board", run(llem, GPU).result())


def test_average_power_alone(llem, golden, boards):
    boards(board(counter=False))
    compare(golden, "average_power", run(llem, GPU).result())


def test_powercap(llem, golden):
    root = llem.folder / "root"
    package = root / "sys/class/powercap/intel-rapl:0"
    package.mkdir(parents=True)
    (package / "name").write_text("package-0\n")
    (package / "max_energy_range_uj").write_text("262143328850\n")
    (root / "proc").mkdir()
    (root / "proc/cpuinfo").write_text("processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\n")
    llem.env["LLEM_SYSROOT"] = str(root)
    with counting(package / "energy_uj", 50, 0.001):
        record = run(llem, {**WORK, "sim.device": "cpu", "max_output_tokens": 60, "sim.token_us": 50000}).result()
    assert metric(record, "energy_j")["value"] == pytest.approx(50 * metric(record, "window_s")["value"], rel=0.05)
    compare(golden, "powercap", record)


@pytest.mark.parametrize("fault", ["load_error", "load_oom", "load_crash", "generate_error", "crash", "exit", "garbage",
                                   "wrong_counts", "substitute_silently"])
def test_failures(llem, golden, fault):
    study = run(llem, {"warmup.enabled": False, "sim.fail": fault}, expect=1)
    assert study.states() == ["failed"]
    error = study.error()
    error.pop("log_tail", None)
    compare(golden, f"failure_{fault}", error)


def test_a_replayed_trace(llem, golden, boards):
    """The trace of a run, played again by its own source."""
    boards(board())
    trace = run(llem, GPU).runs[0] / "trace.csv.gz"
    llem.env["LLEM_NVML_LIBRARY"] = "/nowhere/libnvidia-ml.so.1"
    compare(golden, "replay", json.loads(llem.ok("meter", "list", "-s", "replay", "--replay", trace, "--json")))
