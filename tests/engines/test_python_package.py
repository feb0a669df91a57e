"""What every adapter in Python owes, and engines/python/llem_adapter does: with an engine of a few lines."""

import os
import signal
import time

import pytest

import adapters

HEAD = """
import os, sys, time
from llem_adapter import Adapter, Loaded, Option, Refused, builds, now_ns, serve, versions

class Engine(Adapter):
    name, version, engine = "an-adapter", "1", "an-engine"
    options = [Option("kernel", "string", "fast"), Option("count", "integer", 1, low=1, high=9)]

    def load(self, load):
{load}
        return Loaded(load.options, engine_version="1", device="cpu")

    def generate(self, batch):
        batch.t0_ns = now_ns()
        for request in batch.requests:
            while len(request.out_ids) < request.max_tokens:
                batch.check_stop()
{step}
                request.token(7, now_ns())
        batch.t1_ns = now_ns()

    def memory(self):
        return {{"rss_peak_bytes": 1}}

    def close(self):
        print("closed", file=sys.stderr, flush=True)

if __name__ == "__main__":
    serve(Engine())
"""


@pytest.fixture
def engine(tmp_path):
    """engine(load, step, fds): an adapter with these lines in its engine."""
    left = []

    def start(load="pass", step="pass", env=None):
        program = tmp_path / "adapter.py"
        program.write_text(HEAD.format(load=" " * 8 + load, step=" " * 16 + step))
        left.append(adapters.Spoken(["python3", program], tmp_path, env))
        return left[-1]

    yield start
    for spoken in left:
        spoken.close()


def test_stdout_is_no_channel(engine):
    """What an engine prints, and what a process of it prints, comes out where errors do, and no line of it is an answer."""
    spoken = engine('print("printed"); os.write(1, b"written\\n"); os.system("echo of a child")')
    spoken.load("/")
    assert spoken.end() == 0
    assert spoken.out.read_text() == ""
    assert {"printed", "written", "of a child"} <= set(spoken.err.read_text().splitlines())


def test_nothing_is_fetched_or_reported_whatever_the_user_has_set(engine):
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK")
    spoken = engine(f"print('SET', *(os.environ.get(n) for n in {names}), flush=True)", env={"HF_HUB_OFFLINE": "0"})
    spoken.load("/")
    spoken.end()
    assert "SET 1 1 1 1" in spoken.said()


def test_a_fork_does_not_hold_the_socket(engine):
    """The worker sees the end of a killed adapter though a child of it lives on."""
    spoken = engine("pid = os.fork()\n        pid or time.sleep(30)\n        pid or os._exit(0)\n        print('CHILD', pid, flush=True)")
    spoken.load("/")
    child = int(next(line for line in spoken.said().splitlines() if line.startswith("CHILD")).split()[1])
    try:
        spoken.process.kill()
        assert spoken.reply(timeout=5) is None
        os.kill(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("phase", ["load", "generate", "idle"])
def test_sigterm_ends_in_order_in_every_phase(engine, phase):
    """An engine that takes every exception for one of its own does not swallow it."""
    slow = "try: time.sleep(30)\n{0}except Exception: pass"
    spoken = engine(load=slow.format(" " * 8) if phase == "load" else "pass", step=slow.format(" " * 16) if phase == "generate" else "pass")
    spoken.ok("hello", protocol=1)
    number = spoken.send("load", config={"options": {}})
    if phase != "load":
        assert spoken.reply()["id"] == number
        spoken.ok("prepare", batch=1, requests=[{"id": "a", "token_ids": [1], "max_tokens": 2}])
    if phase == "generate":
        spoken.send("generate", batches=[1])
    time.sleep(0.5)
    spoken.process.send_signal(signal.SIGTERM)
    assert spoken.process.wait(5) == 0
    assert "closed" in spoken.said()


def test_the_end_of_the_socket_ends_it(engine):
    spoken = engine()
    spoken.load("/")
    spoken.sock.close()
    assert spoken.process.wait(5) == 0 and "closed" in spoken.said()


def test_a_substitution_is_an_error_unless_it_is_allowed(engine):
    says = 'load.substitute("kernel", load.options["kernel"], "slow", "the fast one is not there")'
    refused = engine(says).load("/")
    assert refused["class"] == "Substitution"
    assert refused["message"] == "kernel: 'fast' was asked for, 'slow' would be used: the fast one is not there"
    allowed = engine(says).load("/", allow_substitution=True)
    assert allowed["substitutions"] == [
        {"what": "kernel", "requested": "fast", "used": "slow", "reason": "the fast one is not there"}]


@pytest.mark.parametrize("options, kind, says", [
    ({"cuont": 1}, "UnknownKey", "there is no 'cuont'"),
    ({"count": "1"}, "BadValue", "'count' must be an integer, not a string"),
    ({"count": True}, "BadValue", "'count' must be an integer, not a boolean"),
    ({"count": 10}, "BadValue", "'count' must lie between 1 and 9, not 10"),
])
def test_options_are_held_to_their_rows(engine, options, kind, says):
    answer = engine().load("/", options=options)
    assert (answer["class"], says in answer["message"]) == (kind, True), answer


def test_an_exception_of_the_engine_is_answered_with_its_class(engine):
    spoken = engine('raise KeyError("no such layer")')
    answer = spoken.load("/")
    assert (answer["class"], answer["message"]) == ("KeyError", "'no such layer'")
    assert "Traceback" in spoken.said() and spoken.end() == 0


def test_memory_that_ran_out_is_told_by_any_name(engine):
    answer = engine('raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")').load("/")
    assert answer["oom"] is True and answer["class"] == "RuntimeError"


@pytest.mark.parametrize("value, says", [
    ("float('nan')", "'memory.rss_peak_bytes' is nan"), ("[1.0, float('inf')]", "'memory.rss_peak_bytes[1]' is inf"),
    ("{1, 2}", "'memory.rss_peak_bytes' is of the type set"), ("{'a': {(1, 2): 3}}", "'memory.rss_peak_bytes.a' has a member (1, 2)"),
    ("'\\udc80'", "'memory.rss_peak_bytes' is no text of Unicode"),
])
def test_what_no_line_can_hold_is_an_error_that_names_the_member(engine, value, says):
    """And the adapter goes on."""
    spoken = engine(load=f"type(self).memory = lambda self: {{'rss_peak_bytes': {value}}}")
    spoken.ok("hello", protocol=1)
    answer = spoken.ask("load", config={})
    assert answer.get("class") == "BadReply" and answer["message"].startswith(f"load: the adapter's reply cannot be sent: {says}"), answer
    assert spoken.end() == 0


@pytest.mark.parametrize("message", ["generate", "collect"])
def test_a_batch_named_twice_is_refused(engine, message):
    spoken = engine()
    spoken.ok("hello", protocol=1)
    spoken.ok("load", config={})
    spoken.ok("prepare", batch=3, requests=[{"id": "a", "token_ids": [1], "max_tokens": 2}])
    if message == "collect":
        spoken.ok("generate", batches=[3])
    answer = spoken.ask(message, batches=[3, 3])
    assert answer.get("class") == "BadValue" and "twice" in answer["message"], answer
    assert spoken.ask(message, batches=[3])["type"] == message  # nothing was taken


def test_a_thread_can_give_up_what_never_comes_back(engine):
    """In its own words, in time, and once: the process ends with it."""
    watcher = "import threading; threading.Timer(0.5, self.give_up, [Refused('RankFailed', 'rank 1: no luck')]).start()"
    spoken = engine(load=watcher, step="time.sleep(3600)")
    spoken.ok("hello", protocol=1)
    spoken.ok("load", config={})
    spoken.ok("prepare", batch=1, requests=[{"id": "a", "token_ids": [1], "max_tokens": 2}])
    answer = spoken.ask("generate", timeout=5, batches=[1])
    assert (answer.get("class"), answer["message"]) == ("RankFailed", "rank 1: no luck")
    assert spoken.process.wait(5) == 1


def test_two_builds_of_one_version_differ(engine, tmp_path):
    """By the hashes of what was installed, not by what Python compiled since."""
    said = []
    for rows in ("a/__init__.py,sha256=abc,1\n", "a/__init__.py,sha256=abc,1\na/b.pyc,,\n", "a/__init__.py,sha256=xyz,1\n"):
        info = tmp_path / "lib" / "some_engine-2.0.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-engine\nVersion: 2.0\n")
        (info / "RECORD").write_text(rows)
        spoken = engine(f'sys.path.insert(0, {str(tmp_path / "lib")!r}); names = ["some-engine", "absent"]\n'
                        '        print("ARE", versions(names), builds(names)["some-engine"], flush=True)')
        spoken.load("/")
        said += [line for line in spoken.said().splitlines() if line.startswith("ARE")]
    assert "{'some-engine': '2.0'}" in said[0]
    assert said[0] == said[1] != said[2]
