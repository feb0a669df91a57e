"""Engines that could hardly be less alike do the same work: the same token ids in, and in exact arithmetic the same out.

The answer is known beforehand: the largest logit, step by step, of the model in float32."""

import hashlib
import json
import struct

import pytest
from studies import check_records, metric, the_study, write
from support import ROOT
from test_requests import requests

pytestmark = pytest.mark.engines

PROMPT = "The capital of France is"
IN = [504, 3575, 282, 4649, 314]
OUT = [7042, 30, 198, 198, 504, 2988, 314, 42, 216, 34, 32, 33, 40, 29, 32, 33, 29, 34, 34, 216, 33, 34, 42, 33, 34, 42, 37, 35,
       30, 2, 198, 1]

# What makes the arithmetic of llama.cpp exact.
EXACT = {"precision": "fp32", "llamacpp.type_k": "f32", "llamacpp.type_v": "f32", "llamacpp.flash_attn": "off"}


def digest(*sequences):
    """As workload.*_ids_sha256 is defined: per sequence its length, then its ids, 32 bits each."""
    packed = (struct.pack(f"<{len(ids) + 1}i", len(ids), *ids) for ids in sequences)
    return hashlib.sha256(b"".join(packed)).hexdigest()


@pytest.fixture
def cell(engines, tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(json.dumps({"prompt": PROMPT}) + "\n")
    work = {"model": "smollm2-135m-instruct", "dataset": str(prompts), "n": 1, "max_input_tokens": 16, "max_output_tokens": len(OUT),
            "warmup.enabled": False, "energy.max_repeats": 1, "energy.modelled": False}

    def run(name, fields):
        path = write(tmp_path / f"{name}.yaml", {**work, **fields}, execution={"n_cycles": 1})
        done = engines.run("run", path, "-o", tmp_path / name, timeout=300)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        study = the_study(tmp_path / name)
        check_records(engines, study)
        return study.result()

    return run


CELLS = {
    "llamacpp": {"backend": "llamacpp", **EXACT},
    "pytorch": {"backend": "pytorch", "precision": "fp32", "pytorch.n_threads": 1},
}


@pytest.mark.parametrize("engine", CELLS)
def test_in_float32_the_answer_is_that_of_the_largest_logit(cell, engine):
    record = cell(engine, CELLS[engine])
    assert metric(record, "tokens_in")["value"] == len(IN) and metric(record, "tokens_out")["value"] == len(OUT)
    assert record["workload"]["input_ids_sha256"] == digest(IN)
    assert record["workload"]["output_ids_sha256"] == digest(OUT)


def test_in_four_bits_it_is_another(cell):
    """What could not differ would prove nothing."""
    record = cell("q4_1", {"backend": "llamacpp", "llamacpp.quantization": "q4_1"})
    assert record["workload"]["input_ids_sha256"] == digest(IN)
    assert record["workload"]["output_ids_sha256"] != digest(OUT)


def test_where_answers_begin_to_differ_is_said(engines, tmp_path):
    """One table of two engines, of which one computes with four-bit weights."""
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(json.dumps({"prompt": PROMPT}) + "\n")
    path = tmp_path / "two.yaml"
    path.write_text(json.dumps({
        "model": "smollm2-135m-instruct", "backend": "llamacpp", "dataset": str(prompts), "n": 1, "max_input_tokens": 16,
        "max_output_tokens": len(OUT), "warmup": {"enabled": False}, "energy": {"max_repeats": 1, "modelled": False},
        "llamacpp": {"type_k": "f32", "type_v": "f32", "flash_attn": "off"},
        "sweep": {"llamacpp.quantization": ["q4_1", "q8_0"]}, "execution": {"n_cycles": 1}}))
    done = engines.run("run", path, "-o", tmp_path / "two", timeout=300)
    assert done.returncode == 0, done.stderr
    assert "The answers differ between runs 1 / 2: other token ids came out for the same work: quality may differ; "\
           "the first that differs is token " in done.stdout


@pytest.mark.slow
def test_the_example_of_three_engines_does_equal_work(engines, tmp_path):
    """examples/engines.yaml as it is, but shorter."""
    shorter = ["n=2", "load.size=2", "max_output_tokens=8", "warmup.enabled=false", "baseline.enabled=false", "energy.max_repeats=1"]
    done = engines.run("run", ROOT / "examples" / "engines.yaml", *shorter, "-o", tmp_path / "example", timeout=600)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    study = the_study(tmp_path / "example")
    check_records(engines, study)
    records = [study.result(i) for i in range(len(study.runs))]
    assert {r["config"]["backend"] for r in records} == {"llamacpp", "pytorch", "vllm"} and study.states() == ["ok"] * 3
    for name in ("input_ids_sha256", "output_ids_sha256"):
        assert len({r["workload"][name] for r in records}) == 1, name
    assert "The answers differ" not in done.stdout
    for i, record in enumerate(records):
        rows = requests(study, i)
        assert [row["tokens_out"] for row in rows] == [8, 8]
        stamps = [row["engine_first_token_ns"] for row in rows]
        assert (None in stamps) == (record["config"]["backend"] == "pytorch"), record["config"]["backend"]
    (vllm,) = [r["engine"]["resolved"]["engine"] for r in records if r["config"]["backend"] == "vllm"]
    assert vllm["compilation_config"]["cudagraph_mode"] == "NONE" and vllm["kernel_config"]["ir_op_priority"]
