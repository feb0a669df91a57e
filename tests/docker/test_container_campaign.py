"""Random bad days of studies in containers: LLEM_CAMPAIGN_N rounds (`make campaign`: 100), 15 in the ordinary tests.

A failing round names seed and number; LLEM_CAMPAIGN_SEED draws the same studies, blows and moments again, and
LLEM_CAMPAIGN_ROUND that round alone. What holds after every round, whatever was struck and when: no container and no
process is left, no file is torn, what had ended before the blow is as it was, byte for byte, and the next study on the same
machine runs."""

import collections
import contextlib
import ctypes
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

import support
from studies import Study, check_records, write

pytestmark = [pytest.mark.campaign, pytest.mark.slow]

ENDS = (0, 1, 130, 143, -signal.SIGKILL)
EARLY_ENDS = (2, -signal.SIGINT, -signal.SIGTERM)  # before anything was begun: refused, or no signal was awaited yet
MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096
LABEL = "org.llenergymeasure.run=1"


def the_seed():
    return int(os.environ.get("LLEM_CAMPAIGN_SEED") or (random.SystemRandom().randrange(10**6) if "LLEM_CAMPAIGN_N" in os.environ else 1))


def remount_read_only(folder):
    """The topmost mount at that place."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(None, os.fsencode(folder), None, MS_REMOUNT | MS_BIND | MS_RDONLY, None) != 0:
        raise OSError(ctypes.get_errno(), f"mount {folder}")


def commands_in(container):
    """(pid of this machine, words) of every process in a container."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if container in (folder / "cgroup").read_text():
                yield int(folder.name), (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")


def labelled(docker):
    """Ids of the containers of llem, running or not."""
    return docker.run("ps", "-aq", "--no-trunc", "--filter", f"label={LABEL}").stdout.split()


class Round:
    """One study under one blow."""

    def __init__(self, docker, llem, image, folder, seed, number):
        self.docker, self.llem, self.image, self.folder = docker, llem, image, folder
        self.seed, self.number = seed, number
        self.dice = random.Random(f"{seed}:{number}")
        self.blow = blow_of(seed, number)
        self.waits = self.dice.random() < 0.7  # for a container, before the time begins to run
        self.moment_s = self.dice.uniform(0, 3)
        self.finished = {}
        self.when = f"{self.moment_s:.2f} s after {'the first container' if self.waits else 'the start'}"
        self.told = f"seed {seed}, round {number}: {self.blow}, {self.when}"

    # What can be struck

    def strike(self, find, number):
        """As soon as there is one to strike."""
        while self.process.poll() is None:
            pids = list(find())
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            if pids:
                return
            time.sleep(0.02)

    def clients(self):
        for found in support.processes_marked(self.llem.mark):
            words = found.command.split(" ")
            if os.path.basename(words[0]) == "docker" and "run" in words:
                yield found.pid

    def inside(self, name):
        for container in labelled(self.docker):
            yield from (pid for pid, words in commands_in(container) if os.path.basename(words[0]) == name)

    def strike_daemon(self, number):
        self.docker.kill(number)
        time.sleep(self.dice.uniform(0, 1))
        self.docker.start()

    def strike_image(self):
        """Goes on until it is gone, for while a container of it runs it cannot go."""
        while self.process.poll() is None:
            self.docker.run("rmi", "-f", self.image)
            if self.docker.run("image", "inspect", self.image).returncode != 0:
                return
            time.sleep(0.1)

    def strike_space(self):
        """The file system of exchange folder and results is full to the last byte."""
        with contextlib.suppress(OSError), open(self.results / "filler", "wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)

    def strike_mount(self):
        """Every path below the results leads over a read-only mount; what is open stays open."""
        aside = self.folder / "aside"
        aside.mkdir()
        subprocess.run(["mount", "--bind", self.results, aside], check=True)
        remount_read_only(aside)  # before anybody opens a file by it
        subprocess.run(["mount", "--bind", aside, self.results], check=True)
        subprocess.run(["umount", aside], check=True)
        aside.rmdir()

    # The round

    def go(self):
        self.results = self.folder / f"results-{self.number}"
        self.results.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "llem-test", self.results], check=True)
        try:
            self.start()
            while self.waits and self.process.poll() is None and not self.has_a_run():
                time.sleep(0.02)
            time.sleep(self.moment_s)
            self.note_finished()
            BLOWS[self.blow](self)
            self.out, self.err = self.process.communicate(timeout=120)
            self.told += f"; exit {self.process.returncode}\n{self.out}\n{self.err}"
            self.repair()
            self.check()
            return self.outcome()
        except Exception as e:
            shutil.copytree(self.results, self.folder / f"kept-{self.number}", dirs_exist_ok=True)  # what was mounted is gone soon
            raise AssertionError(f"{e}\n{self.told}\n{self.docker.last_words()}") from e
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.communicate()
            while subprocess.run(["umount", "-l", self.results], capture_output=True).returncode == 0:
                pass

    def start(self):
        fields = {
            "sim.token_us": self.dice.choice([1000, 20000, 60000]),
            "max_output_tokens": self.dice.randint(2, 12),
            "limits.timeout_seconds": 30,
            "sim.fail": self.dice.choice(["none", "none", "none", "no_term", "log_flood", "leave_daemon", "hang"]),
            "sim.log_mib": 2,
        }
        if fields["sim.fail"] == "hang":
            fields["limits.timeout_seconds"] = 4
        path = write(self.folder / f"{self.number}.yaml", fields, execution={"n_cycles": 3})
        self.told += f", {fields}"
        self.process = self.llem.start("run", path, "-o", self.results, env={"LLEM_RUNNER_SIM": f"docker:{self.image}"})

    def has_a_run(self):
        """A container of a run; what preflight starts comes before there is a study."""
        return list(self.results.glob("*/.exchange-*")) and labelled(self.docker)

    def study(self):
        found = [p.parent for p in self.results.glob("*/study.json")]
        return Study(found[0]) if found and (found[0] / "journal.jsonl").exists() else None

    def files(self, run):
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(run.iterdir())}

    def note_finished(self):
        """What had ended before the blow, byte for byte."""
        with contextlib.suppress(OSError, ValueError):  # a line that is being written
            study = self.study()
            for run in study.runs if study else []:
                if (run / "result.json").exists():
                    self.finished[run] = self.files(run)

    def repair(self):
        """The machine is well again, as for the next study."""
        if self.blow == "mount":
            subprocess.run(["umount", "-l", self.results], check=True)
        (self.results / "filler").unlink(missing_ok=True)
        self.docker.start()
        self.image = self.docker.image("base")

    def check(self):
        early = not self.study() and self.process.returncode in EARLY_ENDS
        assert early or self.process.returncode in ENDS, self.told
        assert (self.process.returncode == -signal.SIGKILL) == (self.blow == "llem KILL"), self.told
        self.check_nothing_is_left()
        for run, files in self.finished.items():
            assert self.files(run) == files, f"{run}: {self.told}"
        study = self.study()
        if not study:
            return
        for path in study.folder.rglob("*.json"):
            json.loads(path.read_text()), path
        for run in study.runs:
            assert not ((run / "result.json").exists() and (run / "error.json").exists()), (run, self.told)
        for line in study.journal:
            if line["state"] == "ok":
                assert any(run.name.startswith(f"{line['run']:03}") and (run / "result.json").exists() for run in study.runs), self.told
        if self.blow not in ("llem KILL", "space", "mount"):
            check_records(self.llem, study)
        self.llem.ok("show", study.folder)

    def check_nothing_is_left(self):
        end = time.monotonic() + 45
        while (labelled(self.docker) or self.llem.left_running()) and time.monotonic() < end:
            time.sleep(0.1)
        told = f"{[str(p) for p in self.llem.left_running()]}\n{self.docker.run('ps', '-a').stdout}\n{self.told}"
        assert not labelled(self.docker) and not self.llem.left_running(), told

    def outcome(self):
        study = self.study()
        states = collections.Counter(study.states() if study else ["nothing begun"])
        classes = collections.Counter(json.loads(path.read_text())["class"] for path in self.results.glob("*/*/error.json"))
        states.update({f"({name})": n for name, n in classes.items()})
        return ", ".join(f"{n} {state}" for state, n in sorted(states.items()))


BLOWS = {
    "client KILL": lambda r: r.strike(r.clients, signal.SIGKILL),
    "client TERM": lambda r: r.strike(r.clients, signal.SIGTERM),
    "worker KILL": lambda r: r.strike(lambda: r.inside("llem-worker"), signal.SIGKILL),
    "worker TERM": lambda r: r.strike(lambda: r.inside("llem-worker"), signal.SIGTERM),
    "engine KILL": lambda r: r.strike(lambda: r.inside("llem-engine-sim"), signal.SIGKILL),
    "llem INT": lambda r: r.process.send_signal(signal.SIGINT),
    "llem TERM": lambda r: r.process.send_signal(signal.SIGTERM),
    "llem KILL": lambda r: r.process.send_signal(signal.SIGKILL),
    "daemon KILL": lambda r: r.strike_daemon(signal.SIGKILL),
    "daemon TERM": lambda r: r.strike_daemon(signal.SIGTERM),
    "image": lambda r: r.strike_image(),
    "space": lambda r: r.strike_space(),
    "mount": lambda r: r.strike_mount(),
}


def blow_of(seed, number):
    """All of them in turns, each turn in an order of its own."""
    turn = sorted(BLOWS)
    random.Random(f"{seed}/{number // len(turn)}").shuffle(turn)
    return turn[number % len(turn)]


def test_any_blow_at_any_moment_in_containers(own_docker, llem, tmp_path, capfd):
    seed, rounds = the_seed(), support.campaign_rounds(15)
    image = own_docker.image("base")
    rows = []
    only = os.environ.get("LLEM_CAMPAIGN_ROUND")
    numbers = [int(only)] if only else range(rounds)
    for number in numbers:
        begin = time.monotonic()
        one = Round(own_docker, llem, image, tmp_path, seed, number)
        outcome = one.go()
        rows.append((number, one.blow, one.when, outcome, f"{time.monotonic() - begin:.1f}"))
        with capfd.disabled():
            print(f"\nseed {seed} round {number}: {one.blow}, {one.when}: {outcome}", flush=True)
    path = write(tmp_path / "last.yaml", execution={"n_cycles": 1})
    llem.ok("run", path, "-o", tmp_path / "last", env={"LLEM_RUNNER_SIM": f"docker:{image}"})
    assert len(rows) == len(numbers)
    if folder := os.environ.get("LLEM_CAMPAIGN_RECORD"):
        Path(folder, "containers.tsv").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))


def test_the_next_study_sweeps_what_a_killed_one_left(own_docker, llem, tmp_path):
    """llem and its client die at once while the container cannot hear: the worker is stopped by SIGSTOP."""
    image = own_docker.image("base")
    env = {"LLEM_RUNNER_SIM": f"docker:{image}"}
    path = write(tmp_path / "s.yaml", {"sim.token_us": 500000, "max_output_tokens": 40}, execution={"n_cycles": 1})
    process = llem.start("run", path, "--skip-preflight", "-o", tmp_path / "results", env=env)
    end = time.monotonic() + 60
    while not (containers := labelled(own_docker)) and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(1)
    assert len(containers) == 1
    for pid, _ in commands_in(containers[0]):
        os.kill(pid, signal.SIGSTOP)
    for found in llem.left_running():
        found.kill()
    process.communicate()
    assert labelled(own_docker) == containers
    other = write(tmp_path / "t.yaml", execution={"n_cycles": 1})
    done = llem.run("run", other, "-o", tmp_path / "other", env=env)
    assert done.returncode == 0, done.stderr
    assert labelled(own_docker) == []


def test_a_live_study_of_another_shell_is_not_swept(docker, llem, tmp_path):
    """Two shells run the same file at once: each ends its own containers and no other."""
    image = docker.image("base")
    path = write(tmp_path / "s.yaml", {"sim.token_us": 100000, "max_output_tokens": 20}, execution={"n_cycles": 1})
    together = [llem.start("run", path, "-o", tmp_path / f"results-{i}", env={"LLEM_RUNNER_SIM": f"docker:{image}"}) for i in range(2)]
    seen = set()
    gone = threading.Event()

    def watch():
        while not gone.is_set():
            seen.update(docker.containers())
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    ends = [process.communicate(timeout=120) for process in together]
    gone.set()
    watcher.join()
    assert [process.returncode for process in together] == [0, 0], ends
    assert len(seen) >= 2, seen
    for i in range(2):
        (folder,) = (tmp_path / f"results-{i}").iterdir()
        assert Study(folder).states() == ["ok"]
