"""How the Python system that this one replaces went wrong with containers, as far as no other file shows that it does not
happen here. docs/reliability.md has the list, with the test of each."""

import contextlib
import json
import os
import subprocess
import threading
import time

import pytest
from studies import check_records, metric, the_study, write

import bigram_engine

LABEL = "org.llenergymeasure"


@pytest.fixture
def bigram(docker, llem, tmp_path):
    """bigram(fields, expect): a run of the Python engine in a container; the study and the finished process."""
    bigram_engine.install(llem)
    image = docker.image("python")

    def run(fields=None, expect=0, env=None, image=image, execution=None, **options):
        path = write(tmp_path / "bigram.yaml", {**bigram_engine.STUDY, **(fields or {})}, execution={"n_cycles": 1, **(execution or {})})
        env = {"LLEM_RUNNER_BIGRAM": f"docker:{image}", **(env or {})}
        done = llem.run("run", path, "-o", tmp_path / "results", env=env, timeout=120, **options)
        assert done.returncode == expect, f"{done.stdout}\n{done.stderr}"
        study = the_study(tmp_path / "results")
        check_records(llem, study)
        return study, done

    return run


@pytest.fixture
def sim(docker, llem, tmp_path):
    """sim(fields, expect): the same of the scripted engine in an image with nothing but a C library."""
    image = docker.image("base")

    def run(fields=None, expect=0, execution=None, image=image, results=tmp_path / "results", **more):
        path = write(tmp_path / "sim.yaml", {**(fields or {})}, execution={"n_cycles": 1, **(execution or {})}, **more)
        done = llem.run("run", path, "-o", results, env={"LLEM_RUNNER_SIM": f"docker:{image}"}, timeout=120)
        assert done.returncode == expect, f"{done.stdout}\n{done.stderr}"
        study = the_study(results)
        check_records(llem, study)
        return study, done

    return run


def facts(study, index=0):
    return study.result(index)["engine"]["facts"]


class Watch:
    """Looks at containers while they run, those of other tests too: watch.seen holds `docker inspect` of each by id."""

    def __init__(self, docker):
        self.docker, self.seen, self.stop = docker, {}, threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.stop.is_set():
            for container in self.docker.run("ps", "-q", "--no-trunc", "--filter", f"label={LABEL}.run=1").stdout.split():
                if container not in self.seen:
                    found = self.docker.run("inspect", container)
                    if found.returncode == 0:
                        self.seen[container] = json.loads(found.stdout)[0]
            time.sleep(0.03)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


# --- Errors read from words that somebody else said

WORDS = [
    "404 Client Error: Entry Not Found for url: config.json",  # was: the image cannot be pulled
    "the pool has no headroom, shrinking it",  # was: out of memory
    "PermissionError: [Errno 13] Permission denied: '/hf/hub/models'",  # was: join the group docker
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
    "Unable to find image 'a:1' locally",
    "failed to initialize NVML: a line of a library",
    "the scheduler has Killed two requests",
]


@pytest.mark.parametrize("words", WORDS, ids=lambda w: w.split()[0])
def test_words_of_the_engine_are_not_taken_for_dockers(bigram, words):
    study, _ = bigram({"bigram.fail": words}, expect=1)
    assert study.error()["class"] == "EngineError"
    assert study.error()["engine_error"]["class"] == "LoadFailed"
    assert study.error()["engine_error"]["message"] == words


def test_last_words_of_the_engine_are_not_taken_for_dockers(bigram):
    study, _ = bigram({"bigram.fail": "crash:" + " / ".join(WORDS)}, expect=1)
    assert study.error()["class"] == "EngineDied"
    assert WORDS[0] in "\n".join(study.error()["log_tail"])


# --- What crosses into the container

def test_the_hash_of_the_container_is_ours(sim, docker, llem, tmp_path):
    """Where results go is in no hash, and the worker reads and writes under the one that llem made."""
    first, _ = sim()
    (tmp_path / "elsewhere").mkdir()
    second, _ = sim(results=tmp_path / "elsewhere" / "results")
    local = tmp_path / "local"
    llem.ok("run", tmp_path / "sim.yaml", "-o", local)
    hashes = {s.result()["identity"]["config_hash"] for s in (first, second, the_study(local))}
    assert len(hashes) == 1


def test_the_image_s_own_worker_is_not_used(sim, docker, llem):
    """An image with another version of llem: what runs in it is ours, so that no field of a newer one is refused."""
    image = docker.image("base", name="llem-test/older", files={"/opt/llem/bin/llem-worker": "#!/bin/sh\nexit 9\n"})
    study, _ = sim(image=image)
    ours = llem.ok("--version").split()[1]
    assert study.result()["llem"]["version"] == ours


def test_a_null_is_a_default(bigram):
    study, _ = bigram({"bigram.say": None, "bigram.fail": None})
    assert study.states() == ["ok"]


def test_a_path_is_relative_to_its_file_and_no_volume_is_made(bigram, docker, tmp_path):
    """Docker takes a bare name before a colon for a volume, and makes it."""
    (tmp_path / "elsewhere").mkdir()
    before = docker.ok("volume", "ls", "-q")
    study, _ = bigram(cwd=tmp_path / "elsewhere")
    assert facts(study)["text"].startswith("/llem/host/")
    assert docker.ok("volume", "ls", "-q") == before


def test_the_image_s_library_path_is_its_own(bigram, docker):
    image = docker.image("python", name="llem-test/library-path", env={"LD_LIBRARY_PATH": "/opt/image/lib", "IMAGE_SAYS": "x"})
    inside = facts(bigram(image=image)[0])["environment"]
    assert (inside["LD_LIBRARY_PATH"], inside["IMAGE_SAYS"]) == ("/opt/image/lib", "x")


def test_only_its_own_section_goes_to_an_engine(docker, llem, tmp_path):
    bigram_engine.install(llem)
    fields = {**bigram_engine.STUDY, "sim.token_us": 100}
    path = write(tmp_path / "both.yaml", fields, sweep={"backend": ["bigram", "sim"]}, execution={"n_cycles": 1})
    tree = json.loads(path.read_text())
    del tree["backend"]  # which is swept
    path.write_text(json.dumps(tree))
    env = {"LLEM_RUNNER_BIGRAM": f"docker:{docker.image('python')}", "LLEM_RUNNER_SIM": f"docker:{docker.image('base')}"}
    llem.ok("run", path, "-o", tmp_path / "both", env=env, timeout=120)
    configs = [json.loads((run / "config.json").read_text())["config"] for run in the_study(tmp_path / "both").runs]
    assert sorted(sorted(c.keys() & {"bigram", "sim"}) for c in configs) == [["bigram"], ["sim"]]


# --- Pipes, processes, time

def test_a_flood_of_words_blocks_nobody(sim):
    study, _ = sim({"sim.fail": "log_flood", "sim.log_mib": 24})
    assert study.states() == ["ok"]
    assert all(path.stat().st_size <= 8 << 20 for path in study.runs[0].iterdir())


@pytest.mark.parametrize("fail", ["leave_child", "leave_daemon", "no_shutdown", "no_term"])
def test_nothing_that_an_engine_started_outlives_it(sim, docker, llem, fail):
    sim({"sim.fail": fail})
    assert docker.containers() == [] and not llem.left_running()


def test_silence_is_no_fault(bigram):
    """Nothing is written for longer than it takes to do all the rest."""
    study, _ = bigram({"bigram.sleep_s": 6})
    assert study.states() == ["ok"]
    assert metric(study.result(), "tokens_out")["value"] == 16


def test_the_limit_of_a_run_is_the_user_s(sim, docker):
    begin = time.monotonic()
    study, _ = sim({"sim.fail": "hang", "limits.timeout_seconds": 3}, expect=1)
    assert study.error()["class"] == "TimeoutError"
    assert time.monotonic() - begin < 60
    assert docker.containers() == []


def test_no_descriptor_stays_open(docker, llem, tmp_path):
    """As many at the end of a study as after its first run."""
    image, counts = docker.image("base"), []
    path = write(tmp_path / "s.yaml", execution={"n_cycles": 14})
    process = llem.start("run", path, "-o", tmp_path / "results", env={"LLEM_RUNNER_SIM": f"docker:{image}"},
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    runs = 0
    while process.poll() is None:
        done = len(list((tmp_path / "results").glob("*/0*/result.json"))) if (tmp_path / "results").exists() else 0
        if done > runs:
            runs = done
            try:
                counts.append(len(os.listdir(f"/proc/{process.pid}/fd")))
            except OSError:
                break
        time.sleep(0.01)
    assert process.wait() == 0
    assert len(counts) > 9 and max(counts) - counts[0] <= 6, counts  # a run under way has a few


# --- Names, labels, ends

def test_a_single_experiment_has_name_and_labels_too(docker, llem, tmp_path):
    image = docker.image("base")
    path = write(tmp_path / "experiment.yaml", {"sim.token_us": 200000})
    with Watch(docker) as watch:
        llem.ok("run", path, "-o", tmp_path / "results", env={"LLEM_RUNNER_SIM": f"docker:{image}"})
    record = the_study(tmp_path / "results").result()
    labels = {c["Name"].strip("/"): c["Config"]["Labels"] for c in watch.seen.values()}[record["context"]["container"]]
    assert {f"{LABEL}.{k}" for k in ("run", "study", "config", "owner", "user")} <= set(labels)
    assert labels[f"{LABEL}.config"] == record["identity"]["config_hash"]


def fill(path):
    """As large as its file system has room, to the last page."""
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)


def test_a_result_that_cannot_be_saved_is_a_failed_run(docker, llem, tmp_path):
    """The file system of the exchange folder is full when the worker writes."""
    results = tmp_path / "results"
    results.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "llem-test", results], check=True)
    try:
        image = docker.image("base")
        path = write(tmp_path / "s.yaml", {"sim.token_us": 300000, "max_output_tokens": 8}, execution={"n_cycles": 1})
        process = llem.start("run", path, "-o", results, env={"LLEM_RUNNER_SIM": f"docker:{image}"})
        while process.poll() is None and not docker.containers():
            time.sleep(0.02)
        time.sleep(0.5)
        fill(results / "filler")
        out, err = process.communicate(timeout=90)
        (results / "filler").unlink(missing_ok=True)
        assert process.returncode == 1, f"{out}\n{err}"
        assert "no space left" in (out + err).lower(), f"{out}\n{err}"
        journal = list(results.glob("*/journal.jsonl"))
        states = [json.loads(line)["state"] for line in journal[0].read_text().splitlines()] if journal else []
        assert "ok" not in states
        assert not list(results.glob("*/*/result.json"))
    finally:
        subprocess.run(["umount", "-l", results], check=True)


def test_a_run_leaves_the_files_of_its_caller(sim):
    study, _ = sim()
    assert {path.stat().st_uid for path in study.folder.rglob("*")} == {os.getuid()}
    assert not [p for p in study.folder.rglob("*") if p.name == "home"]


