"""How the Python system that this one replaces went wrong with vLLM's work, window and warm-up, and with figures that hold for every
engine: whole runs on stand-ins (fake_vllm, fake_torch). docs/reliability.md has the list, with the test of each."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

import fakes

from studies import MODELLED, check_records, metric, the_study, write
from test_requests import requests

FIELDS = {"backend": "vllm", "n": 3, "max_input_tokens": 8, "max_output_tokens": 6, "warmup.enabled": False, "energy.modelled": False,
          "energy.max_repeats": 1, "load.mode": "offline"}  # fmt: skip
TEXTS = ["abcdefghijkl", "mn", "opqrst"]
SHAPE = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 512, "hidden_size": 64, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 4, "intermediate_size": 128, "max_position_embeddings": 256}  # fmt: skip


@pytest.fixture
def run(llem, tmp_path):
    """run(fields, words, status): the study of a run; run.noted(): what vLLM was given."""
    llem.env["LLEM_VLLM_PYTHON"] = str(fakes.python(tmp_path, "vllm"))
    model = fakes.model(tmp_path, tokenizer=True)
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in TEXTS))
    calls = tmp_path / "calls"
    calls.mkdir()

    def go(fields=None, words="", status=0, without=(), start=False):
        path = write(tmp_path / "s.yaml", {**FIELDS, "model": str(model), "dataset": str(prompts), **(fields or {})},
                     execution={"n_cycles": 1})
        tree = json.loads(path.read_text())
        path.write_text(json.dumps({name: value for name, value in tree.items() if name not in without}))
        env = {"LLEM_FAKE_VLLM": words, "LLEM_TEST_RECORDING": str(calls)}
        if start:
            return llem.start("run", path, "-o", tmp_path / "results", env=env)
        done = llem.run("run", path, "-o", tmp_path / "results", env=env, timeout=120)
        assert done.returncode == status, (done.stdout, done.stderr)
        study = the_study(tmp_path / "results")
        check_records(llem, study)
        return study

    go.noted = lambda: fakes.noted(calls)
    go.model = model
    return go


def value(record, name):
    return metric(record, name)["value"]


def test_vllm_is_given_prompts_of_the_length_asked_for(run):
    """It was given whole texts, which one other engine cut."""
    record = run().result()
    assert record["workload"]["input_tokens"] == [8, 2, 6]
    assert [len(json.loads(ids)) for ids in run.noted()["generate.ids"]] == [8, 2, 6]


def test_no_length_of_answers_is_ours_and_not_the_engine_s(run):
    """It was 16 tokens of vLLM, and another number of each other engine."""
    record = run(without=("max_output_tokens",)).result()
    asked = record["config"]["max_output_tokens"]
    assert asked > 16 and record["workload"]["output_tokens"] == [asked] * 3
    assert set(run.noted()["sampling.max_tokens"]) == {str(asked)}


def test_null_is_no_length_of_answers(llem, tmp_path):
    """It was taken, and each engine made its own number of it."""
    path = tmp_path / "null.yaml"
    path.write_text("model: m\nbackend: vllm\nmax_output_tokens: null\n")
    done = llem.run("config", "check", path)
    assert done.returncode == 2
    assert "null.yaml:3:20: error: max_output_tokens: expected an integer from 1" in done.stderr


def test_one_denominator_of_each_name(run):
    """Throughput was over input and output tokens, energy over output tokens in one place and over all in another."""
    record = run(MODELLED).result()
    n_in, n_out, window, joules = (value(record, name) for name in ("tokens_in", "tokens_out", "window_s", "energy_j"))
    assert (n_in, n_out) == (16, 18)
    assert value(record, "output_tokens_per_s") == pytest.approx(n_out / window)
    assert value(record, "total_tokens_per_s") == pytest.approx((n_in + n_out) / window)
    assert value(record, "joules_per_output_token") == pytest.approx(joules / n_out)
    assert value(record, "joules_per_total_token") == pytest.approx(joules / (n_in + n_out))


def test_the_window_is_that_of_the_work_for_energy_and_time(run):
    """Energy began before and ended behind the work, the time had the end of a sampler in it, and a third clock the idle power."""
    study = run(MODELLED)
    record, rows = study.result(), requests(study)
    window = record["timing"]["window"]
    length = (window["t1_ns"] - window["t0_ns"] - window["pause_ns"]) / 1e9
    assert value(record, "window_s") == pytest.approx(length, rel=1e-9)
    assert value(record, "power_mean_w") == pytest.approx(value(record, "energy_j") / length, rel=1e-6)
    assert window["t0_ns"] == min(row["released_ns"] for row in rows)


def test_the_window_of_vllm_ends_with_its_last_token(run):
    """A synchronisation in the process that asks says nothing of one that computes elsewhere."""
    study = run()
    window, rows = study.result()["timing"]["window"], requests(study)
    for row in rows:
        assert window["t0_ns"] <= row["engine_queued_ns"] and row["engine_last_token_ns"] <= row["last_token_ns"] + 1000
    assert max(row["last_token_ns"] for row in rows) <= window["t1_ns"]


WARM = {"warmup.enabled": True, "warmup.n_warmup": 2, "warmup.max_prompts": 3, "warmup.thermal_floor_seconds": 0, "n": 1}


def test_the_warm_up_of_vllm_is_of_whole_requests_that_are_not_measured_ones(run):
    """One token of one prompt, the first that was measured, was a warm-up: with a prefix cache it was a hit then."""
    record = run({**WARM, "vllm.engine.enable_prefix_caching": True}).result()
    noted = run.noted()
    assert record["steadiness"]["iterations"] >= 2 and set(noted["sampling.max_tokens"]) == {"6"}
    *warm, measured = noted["generate.ids"]
    assert len(warm) >= 2 and measured not in warm
    assert value(record, "tokens_in_cached") == 0 and "reset_prefix_cache" in noted


def test_a_warm_up_of_vllm_that_fails_is_a_failed_run(run):
    """It had converged."""
    error = run(WARM, "out-of-memory", 1).error()
    assert (error["class"], error["phase"]) == ("EngineError", "warm-up") and "out of memory" in error["message"]


def test_operations_are_those_of_the_model_s_own_shapes(run):
    """Grouped keys and values and the third matrix of a gated MLP were not in them, and of vLLM they were silently 0."""
    flops = {}
    for name, change in {"whole": {}, "grouped": {"num_key_value_heads": 2}, "wide": {"intermediate_size": 256}}.items():
        (run.model / "config.json").write_text(json.dumps({**SHAPE, **change}))
        study = run()
        flops[name] = metric(study.result(), "flops")
        assert flops[name]["status"] == "modelled"
        study.folder.rename(run.model.parent / name)
    tokens = sum(n + 6 - 1 for n in (8, 2, 6))  # the last token of an answer is not computed on
    assert flops["whole"]["value"] - flops["grouped"]["value"] == 2 * tokens * 2 * (2 * 64 * 2 * 16)  # layers, K and V
    assert flops["wide"]["value"] - flops["whole"]["value"] == 2 * tokens * 2 * (3 * 64 * 128)


# --- Whoever is killed, nothing of the engine is left ---------------------------------------------------------------------


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


@pytest.mark.parametrize("victim", ["vllm_adapter.py", "llem-worker"])
@pytest.mark.parametrize("where, fields, phase", [
    ("prepare", WARM, "warm-up"), ("generate", WARM, "warm-up"), ("prepare", {}, "measure"), ("generate", {}, "measure"),
], ids=["prepare of the warm-up", "warm-up", "prepare", "measure"])  # fmt: skip
def test_whoever_is_killed_in_a_phase_nothing_is_left(llem, run, tmp_path, victim, where, fields, phase):
    """By SIGKILL, adapter or worker, beside a process of the engine's whose parent has ended: such lived on."""
    study = run(fields, f"orphans hangs_in_{where}", start=True)
    wait_for(lambda: where in run.noted().get("hangs", []))
    (progress,) = (tmp_path / "results").rglob("progress.jsonl")
    assert json.loads(progress.read_text().splitlines()[-1])["phase"] == phase
    lines = {p.pid: Path(f"/proc/{p.pid}/cmdline").read_text(errors="replace") for p in llem.left_running()}
    assert any("sleep" in line for line in lines.values()), lines
    (pid,) = [pid for pid, line in lines.items() if victim in line.replace("\0", " ").split(" -c ")[0]]
    os.kill(pid, signal.SIGKILL)
    study.communicate(timeout=60)
    assert study.returncode == 1 and the_study(tmp_path / "results").states() == ["failed"]
    wait_for(lambda: not llem.left_running(), 20)
