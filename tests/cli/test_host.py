"""What the host does to an engine, and what a record says of it: limits of CPU and memory, others' load, variables."""

import json
import os
import threading
import time

import pytest

from studies import check_records, the_study, write

pytestmark = pytest.mark.timing

WORK = {"n": 1, "max_output_tokens": 40, "sim.token_us": 50000, "energy.backend": "none", "energy.modelled": False,
        "warmup.enabled": False}


def run(llem, fields=None, **options):
    path = write(llem.folder / "s.yaml", {**WORK, **(fields or {})})
    done = llem.run("run", path, "-o", llem.folder / "results", timeout=100, **options)
    assert done.returncode == 0, (done.stdout, done.stderr)
    study = the_study(llem.folder / "results")
    check_records(llem, study)
    assert json.loads((study.runs[0] / "environment.json").read_text()) == study.result()["environment"]
    return study.result()


@pytest.fixture
def root(llem):
    """root(path, text): a file in the place of the kernel's."""
    folder = llem.folder / "root"
    llem.env["LLEM_SYSROOT"] = str(folder)

    def put(path, text):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
        return folder / path

    return put


# --- CPU


def one_cpu():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def test_more_threads_than_cpus(llem):
    record = run(llem, {"sim.threads": 3, "sim.decode_load": 1, "sim.prefill_load": 1}, preexec_fn=one_cpu)
    host = record["machine"]["host"]
    assert "oversubscribed" in record["flags"]
    assert host["cpus_allowed"] == 1 and host["busy_threads"] == 3
    assert host["cpu_wait_share"] > 0.4
    assert record["environment"]["cpu"]["allowed"] == str(min(os.sched_getaffinity(0)))


def test_threads_that_have_their_cpus(llem):
    record = run(llem, {"sim.threads": 1, "sim.decode_load": 1})
    assert "oversubscribed" not in record["flags"]
    assert record["machine"]["host"]["busy_threads"] == 1
    assert record["machine"]["host"]["cpus_allowed"] == len(os.sched_getaffinity(0))
    assert record["environment"]["cpu"]["quota_cpus"] is None or record["environment"]["cpu"]["quota_cpus"] > 0


@pytest.mark.parametrize("rows, files", [
    ("0::/job/inner\n", {"job/inner/cpu.max": "max 100000\n", "job/cpu.max": "50000 100000\n"}),
    ("3:cpu,cpuacct:/job\n0::/\n", {"cpu/job/cpu.cfs_quota_us": "50000\n", "cpu/job/cpu.cfs_period_us": "100000\n",
                                    "cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}),
], ids=["version 2", "version 1"])
def test_a_quota(llem, root, rows, files):
    root("proc/self/cgroup", rows)
    for path, text in files.items():
        root(f"sys/fs/cgroup/{path}", text)
    record = run(llem, {"max_output_tokens": 4})
    assert record["environment"]["cpu"]["quota_cpus"] == 0.5
    assert record["machine"]["host"]["cpus_allowed"] == 0.5


# --- others


def test_others_are_judged_by_the_engine_s_work(llem, root):
    """A machine of 64 CPUs on which others use half of one: little of the machine, much beside an engine of one thread."""
    cpus = "".join(f"cpu{i} 0 0 0 0 0 0 0 0 0 0\n" for i in range(64))
    began, over = time.monotonic(), threading.Event()

    def text():
        ticks = int(0.5 * os.sysconf("SC_CLK_TCK") * (time.monotonic() - began)) + engine_ticks()
        return f"cpu  {ticks} 0 0 0 0 0 0 0 0 0\n{cpus}"

    def engine_ticks():
        """Of the run itself, which the kernel counts too."""
        total = 0
        for process in llem.left_running():
            try:
                fields = open(f"/proc/{process.pid}/stat").read().rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
            except OSError:
                pass
        return total

    stat = root("proc/stat", text())

    def count():
        while not over.wait(0.02):
            new = stat.with_suffix(".new")
            new.write_text(text())
            new.rename(stat)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        record = run(llem, {"sim.decode_load": 1})
    finally:
        over.set()
        thread.join()
    machine = record["machine"]
    assert machine["foreign_cpu_share"] < 0.015
    assert machine["foreign_cpu_ratio"] == pytest.approx(0.5, abs=0.2)
    assert machine["foreign_cpu_ratio_half_width"] < 0.2
    assert "foreign_cpu" in record["flags"]


# --- memory


def test_swap_and_huge_pages(llem, root):
    root("proc/meminfo", "MemTotal: 64 kB\nSwapTotal:    2048 kB\nSwapFree:     1024 kB\n")
    root("proc/sys/vm/swappiness", "60\n")
    root("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n")
    root("sys/kernel/mm/transparent_hugepage/defrag", "always defer [defer+madvise] madvise never\n")
    vmstat = root("proc/vmstat", "nr_free 1\npswpin 10\npswpout 20\n")
    path = write(llem.folder / "s.yaml", WORK)
    process = llem.start("run", path, "-o", llem.folder / "results")
    end = time.monotonic() + 30
    while time.monotonic() < end and not any('"measure"' in p.read_text() for p in
                                             (llem.folder / "results").glob("*/.exchange-*/progress.jsonl")):
        time.sleep(0.02)
    time.sleep(0.5)
    vmstat.write_text("nr_free 1\npswpin 110\npswpout 220\n")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, (out, err)
    record = the_study(llem.folder / "results").result()
    memory = record["environment"]["memory"]
    assert (memory["swap_bytes"], memory["swap_unused_bytes"]) == (2097152, 1048576)
    assert memory["swappiness"] == "60"
    assert (memory["transparent_hugepages"], memory["transparent_hugepages_defrag"]) == ("madvise", "defer+madvise")
    assert record["machine"]["host"]["swap_pages"] == 300
    assert any("300 pages went to swap" in text for text in record["warnings"])


# --- variables


def test_variables_that_change_the_work(llem):
    given = {"OMP_NUM_THREADS": "3", "CUDA_LAUNCH_BLOCKING": "1", "GGML_SOMETHING": "/some/folder", "MKL_DYNAMIC": "FALSE",
             "OMP_API_TOKEN": "hunter2", "HF_TOKEN": "hunter2", "MY_OWN": "hunter2"}
    record = run(llem, {"max_output_tokens": 4}, env=given)
    environment = record["environment"]
    assert environment["variables"].items() >= {"OMP_NUM_THREADS": "3", "CUDA_LAUNCH_BLOCKING": "1",
                                                "MKL_DYNAMIC": "FALSE"}.items()
    assert set(environment["variables_not_shown"]) >= {"GGML_SOMETHING", "OMP_API_TOKEN"}
    study = the_study(llem.folder / "results")
    everything = "".join(p.read_text(errors="replace") for p in study.folder.rglob("*.json*"))
    assert "hunter2" not in everything and "MY_OWN" not in everything and "HF_TOKEN" not in everything


def test_what_the_adapter_is_given_counts(llem, build_dir):
    """`env` of engine.json over the user's own."""
    engine = next(p for p in build_dir.rglob("engine.json") if p.parent.name == "sim")
    folder = llem.folder / "engines" / "sim"
    folder.mkdir(parents=True)
    descriptor = json.loads(engine.read_text()) | {"env": {"OMP_NUM_THREADS": "7"}, "record_env": ["OMP_NUM_THREADS"]}
    (folder / "engine.json").write_text(json.dumps(descriptor))
    (folder / "llem-engine-sim").symlink_to(engine.parent / "llem-engine-sim")
    record = run(llem, {"max_output_tokens": 4},
                 env={"OMP_NUM_THREADS": "3", "LLEM_ENGINES_PATH": str(llem.folder / "engines")})
    assert record["environment"]["variables"]["OMP_NUM_THREADS"] == "7"
    assert record["engine"]["variables"] == {"OMP_NUM_THREADS": "7"}


def test_values_are_recorded_by_a_list_of_what_may_be(llem, build_dir):
    """Numbers and switches; words that engine.json lists; of others nothing: nobody knows what a text tells."""
    engine = next(p for p in build_dir.rglob("engine.json") if p.parent.name == "sim")
    folder = llem.folder / "engines" / "sim"
    folder.mkdir(parents=True)
    values = {"SIM_CORES": "0-3,8", "SIM_SWITCH": "True", "SIM_LAYOUT": "NHD", "SIM_OTHER": "HND", "SIM_LOGIN": "hunter2",
              "SIM_ANY": "a b1"}
    names = ["SIM_CORES", "SIM_SWITCH", "SIM_LAYOUT=NHD|HND", "SIM_OTHER=NHD", "SIM_LOGIN", "SIM_ANY=*", "SIM_UNSET"]
    (folder / "engine.json").write_text(json.dumps(json.loads(engine.read_text()) | {"record_env": names}))
    (folder / "llem-engine-sim").symlink_to(engine.parent / "llem-engine-sim")
    record = run(llem, {"max_output_tokens": 4}, env={**values, "LLEM_ENGINES_PATH": str(llem.folder / "engines")})
    hidden = {"SIM_OTHER": "(not shown)", "SIM_LOGIN": "(not shown)", "SIM_UNSET": None}
    assert record["engine"]["variables"] == values | hidden
    files = the_study(llem.folder / "results").folder.rglob("*.json*")
    assert not any("hunter2" in path.read_text(errors="replace") for path in files)


def test_a_secret_cannot_be_recorded(llem, build_dir):
    engine = next(p for p in build_dir.rglob("engine.json") if p.parent.name == "sim")
    folder = llem.folder / "engines" / "sim"
    folder.mkdir(parents=True)
    (folder / "engine.json").write_text(json.dumps(json.loads(engine.read_text()) | {"record_env": ["HF_TOKEN"]}))
    path = write(llem.folder / "s.yaml", WORK)
    done = llem.run("run", path, "-o", llem.folder / "results", env={"LLEM_ENGINES_PATH": str(llem.folder / "engines")})
    assert done.returncode != 0
    assert "'HF_TOKEN' tells of a secret" in done.stderr
