"""Nothing is left running, and nothing that is not ours is ended: llem and worker killed at once, llem as process 1."""

import os
import shutil
import subprocess
import time

import pytest

import support
from studies import the_study, write

SLOW = {"sim.token_us": 100000, "max_output_tokens": 64, "n": 4, "warmup.enabled": False}


def named(llem, name):
    return [p for p in llem.left_running() if name in p.command.split(" ")[0]]


@pytest.mark.parametrize("fault", ["none", "no_term", "leave_child", "leave_daemon", "hang_hard"])
def test_llem_and_worker_killed_at_once(llem, tmp_path, fault):
    """Whoever is deaf to SIGTERM, or has lost its parents, is ended all the same, within 5 s and a little."""
    path = write(tmp_path / "s.yaml", {**SLOW, "sim.fail": fault})
    running = llem.start("run", path, "-o", tmp_path / "results")
    support.wait_until(lambda: support.any_says(tmp_path / "results", "progress.jsonl", '"measure"') and named(llem, "llem-engine"))
    if fault != "none":
        time.sleep(0.5)  # until the fault is there
    for process in named(llem, "llem-worker") + [support.Process(running.pid)]:
        process.kill()
    running.communicate(timeout=30)
    support.wait_until(lambda: not llem.left_running(), 20)


def test_ends_without_a_guard_left(llem, tmp_path):
    llem.ok("run", write(tmp_path / "s.yaml"), "-o", tmp_path / "results")
    assert not llem.left_running()


def as_process_1(llem, *arguments):
    """llem as the first process of a namespace of processes, as in a container without an init."""
    if not shutil.which("unshare") or os.geteuid() != 0:
        pytest.skip("needs:root a namespace of processes is root's to make")
    command = ["unshare", "--fork", "--kill-child", "--pid", "--mount-proc", *llem.command(*arguments)]
    return subprocess.Popen(command, env=llem.env, cwd=llem.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_process_1_reaps_and_kills_only_what_is_its_own(llem, tmp_path):
    path = write(tmp_path / "s.yaml", {"sim.token_us": 100000, "n": 1}, sweep={"sim.threads": [1, 2]}, execution={"n_cycles": 2})
    running = as_process_1(llem, "run", path, "-o", tmp_path / "results")
    init = support.wait_until(lambda: [p.pid for p in named(llem, "/llem") if is_first(p.pid)])[0]
    support.wait_until(lambda: support.any_says(tmp_path / "results", "progress.jsonl", '"measure"'))
    enter = ["nsenter", "--target", str(init), "--pid", "--mount"]
    subprocess.run([*enter, "sh", "-c", "setsid sleep 300 & setsid sh -c 'sleep 0.1 & exec sleep 300' &"], check=True,
                   env={"PATH": os.environ["PATH"]})
    strangers = support.wait_until(lambda: sleepers(init))
    results = tmp_path / "results"
    support.wait_until(lambda: len(list(results.glob("*/00[12]_*/result.json"))) == 2, 60)
    assert set(strangers) & set(sleepers(init)), "a process that is not of the study was ended"
    out, err = running.communicate(timeout=60)
    assert running.returncode in (0, 1), (out, err)
    assert set(the_study(results).states()) == {"ok"}, (out, err)
    assert not llem.left_running()


def is_first(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        line = next(line for line in file if line.startswith("NSpid:"))
    return line.split()[-1] == "1"


def sleepers(init):
    """Pids of the sleeps in the namespace of that process."""
    space = os.readlink(f"/proc/{init}/ns/pid")
    found = []
    for folder in support.Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(folder / "ns/pid") == space and (folder / "cmdline").read_bytes() == b"sleep\x00300\x00":
                found.append(int(folder.name))
        except OSError:
            continue
    return found
