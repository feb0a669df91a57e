"""llem meter: what it lists, why a source is absent, and its live views, over the simulated NVML and trees of files."""

import json
import re
import signal
import subprocess
import sys
import time

import pytest

SCRIPT = {
    "devices": [
        {"load": [{"type": "constant", "watts": 150}, {"type": "wander", "watts": 2}], "temperature_c": 61},
        {"name": "NVIDIA GeForce RTX 4090", "architecture": "ada", "counter": False},
    ],
}
GPU = "nvml:GPU-00000000-0000-4000-8000-00000000000{}:{}"


@pytest.fixture
def sim(llem, build_dir, tmp_path):
    """llem with two simulated boards."""
    script = tmp_path / "boards.json"
    script.write_text(json.dumps(SCRIPT))
    llem.env |= {"LLEM_NVML_SIM": str(script), "LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so")}
    return llem


def test_nothing_here_says_why(llem, tmp_path):
    llem.env["LLEM_NVML_LIBRARY"] = "/nowhere/libnvidia-ml.so.1"
    tree = json.loads(llem.ok("meter", "list", "--json", "--sysroot", tmp_path))
    reasons = {row["name"]: row["reason"] for row in tree["sources"]}
    assert tree["channels"] == []
    assert "/nowhere/libnvidia-ml.so.1" in reasons["nvml"]
    assert f"{tmp_path}/sys/class/powercap" in reasons["rapl"]
    assert "opt-in" in reasons["modelled"]
    text = llem.ok("meter", "list", "--sysroot", tmp_path)
    assert "/nowhere/libnvidia-ml.so.1" in text
    assert "absent" in tree["gpus"]


def test_packages_and_dies_are_named_by_the_kernel_s_names(llem, tmp_path):
    """Folders are numbered as they were found; a part of a package is where the zone around it is."""
    zones = {"intel-rapl:0": "package-1-die-0", "intel-rapl:0:0": "dram", "intel-rapl:1": "package-1-die-1",
             "intel-rapl:2": "package-0-die-0", "intel-rapl:2:0": "core", "intel-rapl:3": "psys"}
    for folder, name in zones.items():
        zone = tmp_path / "sys/class/powercap" / folder
        zone.mkdir(parents=True)
        for file, text in (("name", name), ("energy_uj", "1000"), ("max_energy_range_uj", "262143328850")):
            (zone / file).write_text(text + "\n")
    tree = json.loads(llem.ok("meter", "list", "--json", "--sysroot", tmp_path))
    assert {row["device"] for row in tree["channels"] if row["source"] == "rapl"} == {
        "package-1-die-0", "dram-1-die-0", "package-1-die-1", "package-0-die-0", "psys"}


@pytest.mark.parametrize("action", [
    ["list"], ["characterise", "--duration", "0.3"], ["watch", "--count", "2"],
])
def test_what_a_library_prints_in_any_call_is_not_in_our_output(sim, tmp_path, action):
    """Every line of standard output is ours: the library speaks on loading, in each call and from the sampler's threads."""
    (tmp_path / "speaks.json").write_text(json.dumps({**SCRIPT, "prints": "hello\n", "prints_always": "a library speaks\n"}))
    done = sim.run("meter", *action, "--json", "--sysroot", tmp_path, "-s", "nvml", env={"LLEM_NVML_SIM": str(tmp_path / "speaks.json")})
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("a library speaks") > 10 and "speaks" not in done.stdout
    decoder, text, trees = json.JSONDecoder(), done.stdout.strip(), []
    while text:
        tree, end = decoder.raw_decode(text)
        trees, text = [*trees, tree], text[end:].lstrip()
    assert len(trees) == (3 if action[0] == "watch" else 1) and all(isinstance(t, dict) for t in trees)


STUB_SAYS = "WARNING:\n\nYou should always run with libnvidia-ml.so that is installed with your\nNVIDIA Display Driver.\n"


def test_what_a_library_prints_is_not_in_our_output(sim, tmp_path):
    sim_script = {**SCRIPT, "prints": "a library speaks\n"}
    (tmp_path / "speaks.json").write_text(json.dumps(sim_script))
    done = sim.run("meter", "list", "--json", "--sysroot", tmp_path, env={"LLEM_NVML_SIM": str(tmp_path / "speaks.json")})
    assert done.returncode == 0 and json.loads(done.stdout)["channels"]
    assert "a library speaks" in done.stderr and "a library speaks" not in done.stdout


def test_the_stub_of_the_toolkit_is_called_a_stub(sim, tmp_path):
    fault = {"call": "nvmlInit_v2", "return": "UNKNOWN"}
    (tmp_path / "stub.json").write_text(json.dumps({**SCRIPT, "prints": STUB_SAYS, "faults": [fault]}))
    env = {"LLEM_NVML_SIM": str(tmp_path / "stub.json")}
    tree = json.loads(sim.ok("meter", "list", "--json", "--sysroot", tmp_path, env=env))
    assert "the stub of the CUDA toolkit" in tree["sources"][0]["reason"]


def test_a_library_that_is_there_and_broken_is_not_missing(llem, tmp_path):
    """In the loader's own words; where none is there, with the names that were tried."""
    (tmp_path / "libnvidia-ml.so.1").write_text("no library\n")
    llem.env.pop("LLEM_NVML_LIBRARY", None)

    def reason(**env):
        return json.loads(llem.ok("meter", "list", "--json", "--sysroot", tmp_path, env=env))["sources"][0]["reason"]

    broken = reason(LD_LIBRARY_PATH=str(tmp_path))
    assert "not installed" not in broken
    assert f"{tmp_path}/libnvidia-ml.so.1: file too short" in broken or "invalid ELF header" in broken
    if "not installed" in (none := reason()):  # there may be a driver where the tests run
        assert "(libnvidia-ml.so.1: " in none and "; libnvidia-ml.so: " in none


def test_simulated_is_never_measured(sim, tmp_path):
    tree = json.loads(sim.ok("meter", "list", "--json", "--sysroot", tmp_path))
    status = {row["id"]: (row["status"], row["reason"]) for row in tree["channels"]}
    assert status[GPU.format(0, "energy")][0] == "simulated"
    assert status[GPU.format(1, "energy")][0] == "absent"
    assert "before Volta" in status[GPU.format(1, "energy")][1]
    assert "measured" not in {s for s, _ in status.values()}
    assert tree["gpus"]["simulated"] is True
    text = sim.ok("meter", "list", "--sysroot", tmp_path)
    assert "a simulated NVML" in text
    assert "61.0 degC" in text


def test_characterise_measures_the_refresh(sim, tmp_path):
    out = sim.ok("meter", "characterise", "--json", "--duration", "1.5", "--sysroot", tmp_path)
    energy = json.loads(out)["channels"][GPU.format(0, "energy")]
    assert 60e6 < energy["period_ns"] < 160e6
    assert energy["power_ratio"] == pytest.approx(1, abs=0.05)
    assert energy["usable"]
    assert "PERIOD" in sim.ok("meter", "characterise", "--duration", "0.5", "--sysroot", tmp_path)


def test_watch_counts(sim, tmp_path):
    out = sim.ok("meter", "watch", "--json", "-n", "2", "--sysroot", tmp_path)
    *rows, last = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == 2
    assert [scope["scope"] for scope in last["scopes"]] == ["GPU board"]
    energy = rows[1]["channels"][GPU.format(0, "energy")]
    assert energy["status"] == "simulated"
    assert energy["value"] == pytest.approx(150, abs=20)
    assert rows[1]["channels"][GPU.format(1, "energy")]["status"] == "absent"
    assert "LAST SECOND" in sim.ok("meter", "watch", "-n", "1", "--sysroot", tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watch_ends_at_once(sim, tmp_path, number):
    process = sim.start("meter", "watch", "--json", "--sysroot", tmp_path)
    assert json.loads(process.stdout.readline())["t_mono_ns"] > 0
    begun = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert time.monotonic() - begun < 5
    assert all(json.loads(line) for line in out.splitlines())  # no torn line
    assert json.loads(out.splitlines()[-1])["scopes"][0]["duration_s"] >= 1


def steady(number, **more):
    uuid = f"GPU-{number}0000000-0000-4000-8000-000000000000"
    return {"uuid": uuid, "load": [{"type": "constant", "watts": 200}], **more}


@pytest.fixture
def boards(llem, build_dir, tmp_path):
    """boards(devices): llem with these simulated boards."""

    def build(*devices):
        script = tmp_path / "boards.json"
        script.write_text(json.dumps({"devices": devices}))
        llem.env |= {"LLEM_NVML_SIM": str(script), "LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so")}
        return llem

    return build


def watched(llem, tmp_path, *arguments):
    """The energy that `meter watch` ends with, by scope."""
    out = llem.ok("meter", "watch", "--json", "--sysroot", tmp_path, *arguments)
    last = json.loads(out.splitlines()[-1])
    assert set(last) == {"scopes"}
    return {scope["scope"]: scope for scope in last["scopes"]}


# The constant 200 W: by a counter, by power that wanders (a power that never changes is no reading), by two boards.
@pytest.mark.parametrize("devices, method, width", [
    ([steady(1)], "edge_counter", 0.001),
    ([steady(1), steady(2)], "edge_counter", 0.001),
    ([steady(1, counter=False, load=[{"type": "constant", "watts": 200}, {"type": "wander", "watts": 3}])], "trapezoid", 0.05),
])
@pytest.mark.parametrize("architecture", ["ada", "hopper"])
def test_watch_ends_with_the_energy(boards, tmp_path, devices, method, width, architecture):
    """Nobody knows what work is watched: of boards that see a part of the time the rest lies between idle and the limit."""
    devices = [{**device, "architecture": architecture} for device in devices]
    gpu = watched(boards(*devices), tmp_path, "-n", "2")["GPU board"]
    joules, truth = gpu["joules"], 200 * len(devices) * gpu["duration_s"]
    assert 2 <= gpu["duration_s"] < 3
    assert (joules["status"], gpu["method"], gpu["boards"]) == ("simulated", method, len(devices))
    assert joules["value"] == pytest.approx(truth, rel=width)
    assert joules["low"] < truth < joules["high"]
    part = architecture == "hopper"
    assert (gpu["statistical_half_width_j"] > gpu["systematic_half_width_j"]) == part == ("phase_untold" in gpu["flags"])
    assert gpu["average_w"]["value"] == pytest.approx(joules["value"] / gpu["duration_s"])
    assert not {"guard_short", "fallback", "below_resolution"} & set(gpu["flags"])
    sensors = [board["joules"]["sensor"] for board in gpu.get("per_board", [gpu])]
    assert [s.split(":")[1] for s in sensors] == [d["uuid"] for d in devices]


def test_watch_tells_of_a_lost_board(boards, tmp_path):
    gpu = watched(boards(steady(1), steady(2, lost_s=1)), tmp_path, "-n", "2")["GPU board"]
    assert (gpu["joules"]["status"], gpu["joules"]["value"]) == ("absent", None)
    assert gpu["joules"]["reason"].startswith("GPU-20000000-") and "the sensor failed" in gpu["joules"]["reason"]
    assert [board["joules"]["status"] for board in gpu["per_board"]] == ["simulated", "absent"]
    text = boards(steady(1), steady(2, lost_s=1)).ok("meter", "watch", "-n", "2", "--sysroot", tmp_path)
    assert re.search(r"^GPU board +absent .*the sensor failed", text, re.M)


def test_watch_tells_the_energy_in_words(boards, tmp_path):
    process = boards(steady(1), steady(2)).start("meter", "watch", "--sysroot", tmp_path)
    assert process.stdout.readline().startswith("CHANNEL")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)  # in the middle of a second
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    seconds = float(re.search(r"^Energy of the (\S+) s that were watched:$", out, re.M)[1])
    row = re.search(r"^GPU board +simulated +(\S+) \[(\S+), (\S+)\] +(?:± )?(.*?) % +± (\S+) % +(\S+) edge_counter: (.*)$", out, re.M)
    assert 1.2 < seconds < 2
    assert float(row[1]) == pytest.approx(400 * seconds, rel=0.02)
    assert float(row[2]) < 400 * seconds < float(row[3])
    assert float(row[6]) == pytest.approx(400, rel=0.01)
    assert "nvml:GPU-10000000" in row[7] and "nvml:GPU-20000000" in row[7]
    assert "GPU board: not in it: the host's CPUs" in out


def test_watch_counts_the_energy_of_a_process(llem, tmp_path):
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        cores = watched(llem, tmp_path, "-n", "1", "-s", "modelled", "--pid", busy.pid)["CPU cores of the engine"]
        text = llem.ok("meter", "watch", "-n", "1", "-s", "modelled", "--pid", busy.pid)
    finally:
        busy.kill()
        busy.wait()
    joules = cores["joules"]
    assert joules["status"] == "modelled" and "stated, not measured" in joules["reason"]
    assert 0 < joules["low"] < joules["value"] < joules["high"]
    assert joules["high"] / joules["value"] == pytest.approx(12 / 7.25, rel=0.1)
    assert re.search(r"^CPU cores of the engine +modelled +\S+ \[\S+, \S+\] +- +- ", text, re.M)
    asleep = subprocess.Popen(["sleep", "60"])
    try:
        still = watched(llem, tmp_path, "-n", "1", "-s", "modelled", "--pid", asleep.pid)["CPU cores of the engine"]
    finally:
        asleep.kill()
        asleep.wait()
    assert still["joules"]["value"] is None and "fewer than two changes" in still["joules"]["reason"]
    nobody = watched(llem, tmp_path, "-n", "1", "-s", "modelled")["CPU cores of the engine"]
    assert (nobody["joules"]["status"], nobody["joules"]["reason"]) == ("absent", "no process named (--pid)")


def test_watch_tells_of_scopes_that_cannot_be_read(boards, tmp_path):
    dumb = steady(1, counter=False, instant=False, average=False)
    llem = boards(dumb)
    gpu = watched(llem, tmp_path, "-n", "1")["GPU board"]
    assert gpu["joules"]["status"] == "absent"
    assert gpu["joules"]["reason"].startswith("GPU-10000000-0000-4000-8000-000000000000: ")


def test_modelled_counts_a_process(llem, tmp_path):
    rows = json.loads(llem.ok("meter", "list", "--json", "-s", "modelled"))["channels"]
    assert [(r["id"], r["status"]) for r in rows] == [("modelled:engine:energy", "modelled")]
    assert rows[0]["low_ratio"] < 1 < rows[0]["high_ratio"]
    assert "2.5 to 12 W" in rows[0]["reason"]
    done = llem.run("meter", "list", "-s", "modelled", "--low-watts", "20")
    assert done.returncode == 2
    assert "low <= high" in done.stderr


def test_bad_usage(llem):
    done = llem.run("meter", "list", "-s", "nvlm")
    assert done.returncode == 2
    assert "nvml, rapl, hwmon, modelled, replay" in done.stderr
    done = llem.run("meter", "list", "-s", "replay", "--replay", "/nowhere.csv.gz")
    assert done.returncode == 1
    assert "/nowhere.csv.gz" in done.stderr


def test_selftest_needs_a_counter(llem, tmp_path):
    llem.env["LLEM_NVML_LIBRARY"] = "/nowhere/libnvidia-ml.so.1"
    done = llem.run("meter", "selftest", "--sysroot", tmp_path)
    assert done.returncode == 1
    assert "no energy counter" in done.stderr and "-s modelled" in done.stderr


@pytest.mark.parametrize("view", [["watch", "-n", "3"], ["characterise"], ["watch", "--json"]])
def test_no_sensor_is_said(llem, tmp_path, view):
    llem.env["LLEM_NVML_LIBRARY"] = "/nowhere/libnvidia-ml.so.1"
    done = llem.run("meter", *view, "--sysroot", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"no sensor is here to {view[0]}" in done.stderr
    assert "/nowhere/libnvidia-ml.so.1" in done.stderr


def test_a_source_that_was_not_named_is_not_opt_in(llem):
    tree = json.loads(llem.ok("meter", "list", "--json", "-s", "modelled"))
    reasons = {row["name"]: row["reason"] for row in tree["sources"]}
    assert reasons["rapl"] == reasons["hwmon"] == "not asked for"
    assert "opt-in" in reasons["replay"]


@pytest.mark.parametrize("arguments, said", [
    (["list", "--replay", "/nowhere.csv.gz"], "--replay is for the source replay: add -s replay"),
    (["list", "--pid", "1"], "--pid is for the source modelled: add -s modelled"),
    (["characterise", "--duration", "-3"], "--duration -3: a number above 0 is wanted"),
    (["characterise", "--duration", "0"], "--duration 0: a number above 0 is wanted"),
    (["characterise", "--duration", "1e9"], "--duration 1e+09: a number above 0 is wanted, at most 3600"),
    (["watch", "-n", "-1"], "-n -1: a whole number above 0 is wanted"),
    (["watch", "-s", "modelled", "--low-watts", "0"], "--low-watts 0: a number above 0 is wanted"),
    (["watch", "--characterise"], "--characterise is an action of its own: 'llem meter characterise'"),
    (["list", "-n", "3"], "-n is an option of 'llem meter watch'"),
    (["watch", "--duration", "3"], "--duration is an option of 'llem meter characterise'"),
    (["list", "--pid-file", "load.pid"], "--pid-file is an option of 'llem meter selftest'"),
    (["list", "-s", "modelled", "--pid", "99999999"], "there is no process 99999999"),
])
def test_options_that_would_do_nothing(llem, arguments, said):
    done = llem.run("meter", *arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_modelled_watts_are_those_of_experiments(llem):
    fields = llem.ok("config", "fields", "energy.modelled_watts_per_core")
    tree = json.loads(llem.ok("meter", "list", "--json", "-s", "modelled"))
    assert "default [2.5, 12]" in fields
    assert "2.5 to 12 W per busy core" in tree["channels"][0]["reason"]
    text = llem.ok("meter", "list", "-s", "modelled")
    assert "no process named (--pid)" in text
    assert "default 2.5" in llem.ok("help", "meter", "list")
