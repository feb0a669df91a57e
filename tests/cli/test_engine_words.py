"""What an engine says of its requests and processes is held to what else it said: an adapter with the protocol
written out, with a line of it changed."""

import json

import pytest
import toy

from studies import metric, the_study, write

FINISH = '"stamps_ns": stamps, "finish": "length"}'
PIDS = '"pids": [os.getpid()]'
ENDS = '[os.getpid(), (signal.signal(signal.SIGCHLD, signal.SIG_IGN), subprocess.Popen(["sleep", "0.3"]).pid)[1]]'
WORK = {"backend": "toy", "n": 2, "max_output_tokens": 9, "energy.backend": "none", "energy.modelled": False,
        "toy.token_us": 20000}


@pytest.fixture
def study(llem):
    """study(old, new, status): of a run of the adapter in which `new` stands for `old`."""

    def go(old, new, status, more=("", "")):
        text = toy.raw().replace(*more)
        assert text.count(old) == 1
        toy.install(llem, program=text.replace(old, new).replace("import json\n", "import json\nimport signal\nimport subprocess\n", 1))
        done = llem.run("run", write(llem.folder / "s.yaml", WORK), "-o", llem.folder / "results")
        assert done.returncode == status, (done.stdout, done.stderr)
        return the_study(llem.folder / "results")

    return go


@pytest.mark.parametrize("stamps, said", [
    ({"queued_ns": "stamps[0] + 1"}, "queued_ns lies 0.000000 s after the stamp of the first"),
    ({"queued_ns": "t0", "scheduled_ns": "stamps[-1]"}, "scheduled_ns lies 0."),
    ({"queued_ns": "0"}, "queued_ns lies"),
])
def test_a_request_begins_before_its_first_token(study, stamps, said):
    """Else a time to first token would be below zero."""
    words = ", ".join(f'"{name}": {value}' for name, value in stamps.items())
    record = study(FINISH, f'{FINISH[:-1]}, "engine_stamps": {{{words}}}}}', 1).error()
    assert record["class"] == "ProtocolError" and said in record["message"], json.dumps(record)


def test_stamps_in_order_are_taken(study):
    record = study(FINISH, f'{FINISH[:-1]}, "engine_stamps": {{"queued_ns": t0, "scheduled_ns": stamps[0]}}}}', 0).result()
    assert metric(record, "ttft_mean_s")["value"] > 0
    assert metric(record, "prefill_latency_mean_s")["value"] == 0


def test_a_process_counts_once(study):
    record = study(PIDS, '"pids": [os.getpid(), os.getpid()]', 1).error()
    assert record["class"] == "ProtocolError" and "each once" in record["message"]


@pytest.mark.parametrize("pids", ["[2**22 + 1]", ENDS])
def test_cpu_time_of_a_process_that_is_not_there(study, pids):
    """A pid beyond those that Linux gives, and a process that ends: no 0 s, and no difference that lacks a part."""
    record = study(PIDS, f'"pids": {pids}', 0).result()
    figure = metric(record, "cpu_s_per_output_token")
    assert figure["status"] == "absent" and "not there, or ended" in figure["reason"], figure
    assert record["machine"]["foreign_cpu_ratio"] is None


def test_cpu_time_of_processes_that_are_there(study):
    assert metric(study(PIDS, PIDS, 0).result(), "cpu_s_per_output_token")["status"] == "measured"


@pytest.mark.parametrize("done", [True, False])
def test_a_cache_that_is_not_emptied_is_told(study, done):
    """Then the work may begin with what the warm-up left."""
    reply = 'return {"prefix_cache": prefix_cache, "peak_memory": False}'
    answer = reply.replace("prefix_cache,", f"{done},")
    loads = '"prefix_cache": True, "device": "cpu", "weights_bytes"'
    record = study(reply, answer, 0, ('"device": "cpu", "weights_bytes"', loads)).result()
    assert any("could not empty its prefix cache" in w for w in record["warnings"]) == (not done), record["warnings"]
