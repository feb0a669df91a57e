"""An engine that cannot work all the time: stopped by a signal, held back by a quota, short of memory, asleep with the
machine, or silent; and a user who presses Ctrl-Z. The engine is the scripted one; what stops it is real where it can be."""

import fcntl
import os
import pty
import shutil
import signal
import subprocess
import termios
import threading
import time
from datetime import datetime
from pathlib import Path

import pytest

import support
import toy
from studies import check_records, metric, the_study, write

pytestmark = pytest.mark.timing

WORK = {"n": 1, "max_output_tokens": 40, "sim.token_us": 50000, "energy.backend": "none", "energy.modelled": False,
        "warmup.enabled": False}


def engine_of(llem):
    found = [p.pid for p in llem.left_running() if "llem-engine-sim" in p.command]
    return found[0] if found else None


def wait_for(what, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = what()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s in vain")


def wait_for_work(llem):
    """Until the engine is at its measured work."""
    wait_for(lambda: support.any_says(llem.folder / "results", "progress.jsonl", '"measure"'))
    time.sleep(0.5)


def start(llem, fields=None, **options):
    path = write(llem.folder / "s.yaml", {**WORK, **(fields or {})})
    return llem.start("run", path, "-o", llem.folder / "results", **options)


def record_of(llem, process):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, (out, err)
    study = the_study(llem.folder / "results")
    check_records(llem, study)
    return study.result()


def run(llem, fields=None, **options):
    return record_of(llem, start(llem, fields, **options))


def causes(record):
    return {pause["cause"]: pause["seconds"] for pause in record["machine"]["pauses"]}


def test_nothing_happens(llem):
    record = run(llem)
    assert "paused" not in record["flags"]
    assert record["machine"]["pauses"] == [] and record["machine"]["paused_s"] == 0


def test_an_engine_that_is_stopped(llem):
    process = start(llem)
    wait_for_work(llem)
    engine = engine_of(llem)
    os.kill(engine, signal.SIGSTOP)
    time.sleep(1)
    os.kill(engine, signal.SIGCONT)
    record = record_of(llem, process)
    assert "paused" in record["flags"] and "machine.pauses" in record["flag_meanings"]["paused"]
    assert list(causes(record)) == ["stopped"]
    assert record["machine"]["paused_s"] == pytest.approx(1, abs=0.3)
    assert 0.2 < record["machine"]["pauses"][0]["from_s"] < 1.5
    assert metric(record, "tokens_out")["value"] == 40  # told, not thrown away


def test_an_engine_that_is_silent(llem):
    """One step of a second among steps of 50 ms: nobody stopped it, and it put nothing out."""
    record = run(llem, {"sim.token_us": [50000] * 10 + [1000000] + [50000]})
    assert "paused" in record["flags"]
    assert causes(record) == {"no_tokens": pytest.approx(1, abs=0.3)}
    assert record["machine"]["pauses"][0]["cores"] < 0.2


def test_an_engine_that_is_busy_with_something_else(llem):
    record = run(llem, {"sim.token_us": [50000] * 10 + [1000000] + [50000], "sim.decode_load": 1})
    [silence] = [p for p in record["machine"]["pauses"] if p["cause"] == "no_tokens"]
    assert silence["cores"] > 0.3


def test_slow_steps_are_no_pause(llem):
    record = run(llem, {"sim.token_us": 400000, "max_output_tokens": 6})
    assert "paused" not in record["flags"]


def test_a_long_prompt_is_no_pause(llem):
    """Batches one after the other: the time before a first token is work on the prompt."""
    record = run(llem, {"n": 2, "sim.prefill_us_per_token": 100000, "max_output_tokens": 5})
    assert "paused" not in record["flags"]


JOINS = """
class Joins(Adapter):
    def run(self, batch, requests):
        done = super().run(batch, requests)  # a step is a token of each; the last request joins after its prompt
        at = done["window"]["t0_ns"]
        for row in done["requests"]:
            row["stamps_ns"] = [at + 20_000_000 * k for k in range(1, 11)] + [at + 1_200_000_000 + 20_000_000 * k for k in range(10)]
        joined = done["requests"][-1]
        joined["stamps_ns"] = [at + JOINED + 20_000_000 * k for k in range(20)]
        if STARTED:
            joined["engine_stamps"] = {"scheduled_ns": at + STARTED}
        return done

if __name__ == "__main__":
    fd = int(os.environ.pop("LLEM_ENGINE_FD"))
    os.set_inheritable(fd, False)
    Joins(socket.socket(fileno=fd)).serve()
"""


@pytest.mark.parametrize("joined_ms, started_ms, paused", [
    (1205, 0, False),  # its first token comes with the step that ends the silence
    (1500, 190, False),  # its prompt, begun before, takes more steps than one
    (1500, 0, True), (1500, 1250, True),
])
def test_a_prompt_that_joins_is_no_pause(llem, joined_ms, started_ms, paused):
    """Requests under way wait while the prompt of another is computed."""
    text = toy.raw().partition("if __name__")[0]
    toy.install(llem, program=text + f"JOINED, STARTED = {joined_ms}_000_000, {started_ms}_000_000\n" + JOINS)
    work = {k: v for k, v in WORK.items() if not k.startswith("sim.")}
    work |= {"backend": "toy", "n": 2, "max_output_tokens": 20, "toy.token_us": 60000}
    llem.ok("run", write(llem.folder / "s.yaml", work), "-o", llem.folder / "results")
    record = the_study(llem.folder / "results").result()
    assert causes(record) == ({"no_tokens": pytest.approx(1, abs=0.01)} if paused else {})


def test_all_of_a_run_stands_still(llem):
    """As in a frozen control group or a container that is paused: the worker sees it by its own clock."""
    process = start(llem)
    wait_for_work(llem)
    pids = [p.pid for p in llem.left_running() if p.pid != process.pid]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(1.2)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    record = record_of(llem, process)
    assert "paused" in record["flags"]
    assert causes(record)["llem_stopped"] == pytest.approx(1.2, abs=0.3)


def test_the_machine_sleeps(llem, build_dir):
    process = start(llem, env={"LD_PRELOAD": str(build_dir / "lib" / "libllem-asleep.so"),
                               "LLEM_TEST_ASLEEP": str(llem.folder / "asleep")})
    wait_for_work(llem)
    (llem.folder / "asleep").touch()
    record = record_of(llem, process)
    assert "paused" in record["flags"]
    assert causes(record) == {"suspend": pytest.approx(5, abs=0.01)}


def test_the_wall_clock_is_set_while_the_work_goes_on(llem, build_dir):
    """When the work began is told by the clock of that moment, not by one that was set an hour ahead since."""
    process = start(llem, env={"LD_PRELOAD": str(build_dir / "lib" / "libllem-asleep.so"), "LLEM_TEST_SET": str(llem.folder / "set")})
    wait_for_work(llem)
    began = time.time()
    (llem.folder / "set").touch()
    record = record_of(llem, process)
    told = datetime.fromisoformat(record["timing"]["window"]["t0_utc"]).timestamp()
    assert abs(told - began) < 60, told - began
    assert causes(record) == {}


def counted(path, before, after):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(before)
    return lambda: path.write_text(after)


QUOTA = "nr_periods 9\nnr_throttled 7\n"
STALL = "some avg10=0.00 total={}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total={}\n"
HOSTS = {
    "quota of version 2": ("0::/job/inner\n", "sys/fs/cgroup/job/cpu.stat", QUOTA + "throttled_usec 5000000\n",
                           QUOTA + "throttled_usec 5700000\n", "throttled", 0.7, "throttled_s"),
    "quota of version 1": ("3:cpu,cpuacct:/job\n0::/\n", "sys/fs/cgroup/cpu/job/cpu.stat",
                           QUOTA + "throttled_time 5000000000\n", QUOTA + "throttled_time 5700000000\n", "throttled", 0.7,
                           "throttled_s"),
    "memory of the group": ("0::/job\n", "sys/fs/cgroup/job/memory.pressure", STALL.format(9, 100),
                            STALL.format(9, 600100), "memory", 0.6, "memory_stall_s"),
    "memory of the machine": ("0::/\n", "proc/pressure/memory", STALL.format(9, 100), STALL.format(9, 600100), "memory",
                              0.6, "memory_stall_s"),
}


@pytest.mark.parametrize("host", HOSTS)
def test_what_the_kernel_counts(llem, host):
    """Files in the place of the kernel's, changed in mid-window."""
    rows, file, before, after, cause, seconds, figure = HOSTS[host]
    root = llem.folder / "root"
    change = counted(root / file, before, after)
    counted(root / "proc/self/cgroup", rows, rows)
    process = start(llem, env={"LLEM_SYSROOT": str(root)})
    wait_for_work(llem)
    change()
    record = record_of(llem, process)
    assert "paused" in record["flags"]
    assert causes(record) == {cause: pytest.approx(seconds)}
    assert record["machine"]["host"][figure] == pytest.approx(seconds)


def test_nobody_counts(llem):
    host = run(llem, {"max_output_tokens": 4}, env={"LLEM_SYSROOT": str(llem.folder / "empty")})["machine"]["host"]
    assert host["throttled_s"] is None and "control group" in host["throttled_s_reason"]
    assert host["memory_stall_s"] is None and "kernel" in host["memory_stall_s_reason"]


@pytest.fixture
def quota():
    """A control group of a tenth of a CPU, where the kernel lets one be made."""
    old, new = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
    name = f"llem-test-{os.getpid()}"
    folder = (old if (old / "cpu.cfs_quota_us").exists() else new) / name
    try:
        folder.mkdir()
        if folder.parent == old:
            (folder / "cpu.cfs_quota_us").write_text("20000")
        else:
            (folder / "cpu.max").write_text("20000 100000")
    except OSError as error:
        if folder.is_dir():
            folder.rmdir()
        pytest.skip(f"needs:root a control group with a quota of CPU time cannot be made here ({error})")
    yield folder
    for pid in (folder / "cgroup.procs").read_text().split():
        (folder.parent / "cgroup.procs").write_text(pid)
    wait_for(lambda: not (folder / "cgroup.procs").read_text())
    folder.rmdir()


def test_a_real_quota(llem, quota):
    def enter():
        (quota / "cgroup.procs").write_text(str(os.getpid()))

    record = run(llem, {"sim.decode_load": 1}, preexec_fn=enter)
    assert "paused" in record["flags"]
    assert causes(record)["throttled"] > 0.5
    assert record["machine"]["host"]["throttled_s"] > 0.5


# --- Ctrl-Z ---


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def all_stopped(llem):
    processes = [p for p in llem.left_running() if p.name != "llem-guard"]  # it sleeps until llem is gone
    names = " ".join(p.command for p in processes)
    return "llem-worker" in names and "llem-engine" in names and all(state_of(p.pid) == "T" for p in processes)


def none_stopped(llem):
    return all(state_of(p.pid) != "T" for p in llem.left_running())


def start_job(llem, fields=None):
    """As a shell starts a job: in a group of its own, whose parent is in the same session."""
    return start(llem, fields, process_group=0)


def test_ctrl_z_stops_all_and_fg_flags(llem):
    process = start_job(llem)
    wait_for_work(llem)
    os.killpg(process.pid, signal.SIGTSTP)
    wait_for(lambda: all_stopped(llem), 5)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGCONT)
    wait_for(lambda: none_stopped(llem), 5)
    record = record_of(llem, process)
    assert "paused" in record["flags"]
    assert causes(record) == {"ctrl_z": pytest.approx(1.1, abs=0.3)}
    assert any("suspended for 1." in text for text in record["warnings"])


def test_the_time_limit_does_not_count_it(llem):
    process = start_job(llem, {"limits.timeout_seconds": 6})
    wait_for_work(llem)
    os.killpg(process.pid, signal.SIGTSTP)
    wait_for(lambda: all_stopped(llem), 5)
    time.sleep(6)
    os.killpg(process.pid, signal.SIGCONT)
    record = record_of(llem, process)
    assert causes(record)["ctrl_z"] > 5.9


def test_ctrl_z_twice(llem):
    process = start_job(llem)
    wait_for_work(llem)
    for _ in range(2):
        os.killpg(process.pid, signal.SIGTSTP)
        wait_for(lambda: all_stopped(llem), 5)
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGCONT)
        wait_for(lambda: none_stopped(llem), 5)
        time.sleep(0.3)
    assert [p["cause"] for p in record_of(llem, process)["machine"]["pauses"]] == ["ctrl_z"] * 2


def test_a_group_that_nobody_could_continue_is_not_stopped(llem):
    """The system stops no process of an orphaned group by SIGTSTP; its run goes on."""
    process = start(llem, start_new_session=True)
    wait_for_work(llem)
    process.send_signal(signal.SIGTSTP)
    record_of(llem, process)


def test_an_interrupt_while_suspended(llem):
    process = start_job(llem)
    wait_for_work(llem)
    os.killpg(process.pid, signal.SIGTSTP)
    wait_for(lambda: all_stopped(llem), 5)
    os.killpg(process.pid, signal.SIGINT)
    os.killpg(process.pid, signal.SIGCONT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert the_study(llem.folder / "results").states() == ["interrupted"]


def test_nothing_is_left_of_a_suspended_llem_that_is_killed(llem):
    process = start_job(llem)
    wait_for_work(llem)
    os.killpg(process.pid, signal.SIGTSTP)
    wait_for(lambda: all_stopped(llem), 5)
    process.kill()
    process.communicate(timeout=10)
    wait_for(lambda: not llem.left_running(), 20)


def test_a_shell_on_a_terminal(llem):
    """bash, a terminal, the key itself, and fg."""
    bash = shutil.which("bash")
    if not bash:
        pytest.skip("needs:bash there is no shell with job control")
    path = write(llem.folder / "s.yaml", WORK)
    ours, its = pty.openpty()
    shell = subprocess.Popen([bash, "--norc", "--noprofile", "-i"], stdin=its, stdout=its, stderr=its, env=llem.env,
                             start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.close(its)
    said = []
    reader = threading.Thread(target=drain, args=(ours, said))
    reader.start()
    os.write(ours, f"{' '.join(llem.command('run', path, '-o', llem.folder / 'results'))}; echo code=$?\n".encode())
    wait_for_work(llem)
    os.write(ours, b"\x1a")
    wait_for(lambda: "Stopped" in "".join(said), 5)
    assert all(state_of(p.pid) == "T" for p in llem.left_running()
               if "llem" in p.command.split()[0] and p.name != "llem-guard")
    os.write(ours, b"fg; exit\n")
    shell.wait(timeout=60)
    os.close(ours)
    reader.join()
    study = the_study(llem.folder / "results")
    assert study.states() == ["ok"], "".join(said)
    assert list(causes(study.result())) == ["ctrl_z"]


def drain(fd, said):
    while True:
        try:
            said.append(os.read(fd, 4096).decode(errors="replace"))
        except OSError:
            return
