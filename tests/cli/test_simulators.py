"""docs/simulators.md: its commands run, in their order; what they print is called simulated, and holds what was drawn."""

import bisect
import csv
import json
import os
import re
import signal
import subprocess
import sys

import pytest

import support
from studies import Study, check_records, metric

sys.path.insert(0, str(support.ROOT / "tests" / "docs"))

from test_commands import commands, script_of  # noqa: E402

pytestmark = pytest.mark.timing

PAGE = support.ROOT / "docs" / "simulators.md"
PACKAGE = support.ROOT / "examples" / "simulated" / "package.json"


@pytest.fixture
def simulator(build_dir):
    return build_dir / "bin" / "llem-rapl-sim"


def drawn_j(path, t0_ns, t1_ns):
    """Of the only package, between two moments of its truth."""
    rows = list(csv.DictReader(path.open()))
    times, joules = [int(row["t_ns"]) for row in rows], [float(row["package-0"]) for row in rows]

    def at(t):
        i = bisect.bisect_left(times, t)
        return joules[i - 1] + (joules[i] - joules[i - 1]) * (t - times[i - 1]) / (times[i] - times[i - 1])

    return at(t1_ns) - at(t0_ns)


def test_make_sim_builds_them(build_dir):
    """What the target runs, without setting up and building everything once more."""
    dry = subprocess.run(["make", "--dry-run", "sim"], cwd=support.ROOT, capture_output=True, text=True, check=True)
    assert "tools/build.sh release --target simulators" in dry.stdout
    rules = subprocess.run(["ninja", "-t", "commands", "simulators"], cwd=build_dir, capture_output=True, text=True, check=True).stdout
    assert "libllem-nvml-sim.so" in rules and "llem-rapl-sim" in rules
    assert (build_dir / "lib" / "libllem-nvml-sim.so").exists() and (build_dir / "bin" / "llem-rapl-sim").exists()


def test_every_command_runs(llem, build_dir, tmp_path):
    text = PAGE.read_text().replace("$ make sim\n", "")  # test_make_sim_builds_them
    assert len(list(commands(text))) >= 7
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "release").symlink_to(build_dir)
    (tmp_path / "examples").symlink_to(support.ROOT / "examples")
    done = subprocess.run(["bash", "-c", script_of(text)], cwd=tmp_path, env=llem.env, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    assert done.stdout.count("J/token (simulated)") == 2 and done.stdout.count("Energy is SIMULATED") == 2
    board, package = (Study(next((tmp_path / "results" / name).iterdir())) for name in ("board", "package"))
    for study, source in (board, "nvml"), (package, "rapl"):
        check_records(llem, study)
        assert study.states() == ["ok"] * 2
        for index in range(2):
            energy = metric(study.result(index), "energy_j")
            assert energy["status"] == "simulated" and source in energy["sensor"]
    for index in range(2):
        record = package.result(index)
        window, energy = record["timing"]["window"], metric(record, "energy_j")
        truth = drawn_j(tmp_path / "truth.csv", window["t0_ns"], window["t1_ns"])
        seconds = (window["t1_ns"] - window["t0_ns"]) / 1e9
        assert truth > 45 * seconds  # it follows the engine
        assert energy["low"] < truth < energy["high"]
        assert energy["value"] == pytest.approx(truth, rel=0.02)


def test_values_of_a_marked_root_alone_are_simulated(llem, simulator, tmp_path):
    def status(*before):
        done = subprocess.run([*before, llem.program, "meter", "list", "--json"], env=llem.env, capture_output=True, text=True,
                              timeout=60, check=True)
        [channel] = [c for c in json.loads(done.stdout)["channels"] if c["id"] == "rapl:package-0:energy"]
        return channel["status"]

    def counting(mark):
        script = f'{"" if mark else "rm " + str(tmp_path / "rapl" / "llem-simulated") + ";"} exec "$@"'
        return status(simulator, PACKAGE, tmp_path / "rapl", "--", "sh", "-c", script, "sh")

    assert counting(True) == "simulated"
    assert counting(False) == "measured"


def test_without_a_command_it_counts_until_it_is_interrupted(simulator, tmp_path):
    with subprocess.Popen([simulator, PACKAGE, tmp_path / "rapl"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline() == f"LLEM_SYSROOT={tmp_path / 'rapl'}\n"
        counter = tmp_path / "rapl" / "sys" / "class" / "powercap" / "intel-rapl:0" / "energy_uj"
        before = int(counter.read_text())
        while int(counter.read_text()) <= before:
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=20) == 0
        assert re.search(r"package-0 drew [\d.]+ J in", running.stderr.read())


def test_its_status_is_the_command_s(simulator, tmp_path):
    ends = {("sh", "-c", "exit 3"): 3, ("sh", "-c", "kill -9 $$"): 137, ("/nowhere/program",): 1}
    for command, status in ends.items():
        assert subprocess.run([simulator, PACKAGE, tmp_path / "rapl", "--", *command], capture_output=True, timeout=60).returncode == status


def test_what_is_not_a_simulator_s_stays(simulator, tmp_path):
    (tmp_path / "sys").mkdir()
    done = subprocess.run([simulator, PACKAGE, tmp_path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "was not made by a simulator" in done.stderr
    assert os.listdir(tmp_path) == ["sys"]


@pytest.mark.parametrize("script,says", [
    ({"devices": [{}]}, "has no packages"),
    ({"packages": [{"instant": {}}]}, "a package has no member 'instant'"),
    ({"packages": [{"load": [{"type": "cpu"}]}]}, "either a pid_file or a program"),
])
def test_a_wrong_script_is_told(simulator, tmp_path, script, says):
    path = tmp_path / "script.json"
    path.write_text(json.dumps(script))
    done = subprocess.run([simulator, path, tmp_path / "rapl"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and says in done.stderr


CALLS = r"""
import ctypes, json, sys, time
nvml = ctypes.CDLL(sys.argv[1])
assert nvml.nvmlInit_v2() == 0
number, seconds, cpu = ctypes.c_uint(), [], time.process_time()
for _ in range(200):
    began = time.monotonic()
    assert nvml.nvmlDeviceGetCount_v2(ctypes.byref(number)) == 0
    seconds.append(time.monotonic() - began)
print(json.dumps({"us": [1e6 * s for s in seconds], "cpu": time.process_time() - cpu}))
"""


def test_calls_take_as_long_as_drawn(build_dir, tmp_path):
    def seen(spin):
        script = tmp_path / "boards.json"
        script.write_text(json.dumps({"latency": {"low_us": 100, "high_us": 2000, "spin": spin}, "devices": [{}]}))
        done = subprocess.run([sys.executable, "-c", CALLS, build_dir / "lib" / "libllem-nvml-sim.so"], capture_output=True, text=True,
                              env=os.environ | {"LLEM_NVML_SIM": str(script)}, timeout=60, check=True)
        return json.loads(done.stdout)

    busy, asleep = seen(True), seen(False)
    for us in sorted(busy["us"]), sorted(asleep["us"]):
        assert us[0] >= 100
        assert us[len(us) // 4] < 1000 and us[len(us) // 2] > 250  # √(100·2000) = 447 in the middle
    assert busy["cpu"] > 3 * asleep["cpu"]
