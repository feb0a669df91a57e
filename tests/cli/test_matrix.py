"""A real study: three engines, two precisions, two batch sizes, beside a RAPL tree that follows the engines' CPU time."""

import json
import os
import subprocess

import pytest
from studies import check_records, metric, the_study
from test_equal_work import IN, OUT, PROMPT, digest
from test_requests import requests
from test_simulators import drawn_j

pytestmark = [pytest.mark.engines, pytest.mark.campaign]

PROGRAMS = ["llem-engine-llamacpp", "pytorch_adapter.py", "vllm_adapter.py", "VLLM::EngineCore", "VLLM::Worker"]
LOADS = [{"type": "constant", "watts": 20}]
LOADS += [{"type": "cpu", "program": program, "watts_per_core": 15} for program in PROGRAMS]
STUDY = {
    "model": "smollm2-135m-instruct", "n": 2, "max_input_tokens": 16, "max_output_tokens": 8, "load": {"mode": "batch"},
    "warmup": {"n_warmup": 1, "max_prompts": 2}, "baseline": {"enabled": False}, "energy": {"max_repeats": 1},
    "llamacpp": {"type_k": "f32", "type_v": "f32"}, "pytorch": {"n_threads": 1}, "vllm": {"engine": {"enforce_eager": True}},
    "sweep": {"backend": ["llamacpp", "pytorch", "vllm"], "precision": ["fp32", "bf16"], "load.size": [1, 2]},
    "execution": {"n_cycles": 2 if "LLEM_CAMPAIGN_N" in os.environ else 1},
}


def test_the_matrix(engines, build_dir, tmp_path):
    engines.ok("model", "pull", STUDY["model"], "--form", "bf16", timeout=120)
    (tmp_path / "package.json").write_text(json.dumps({"packages": [{"load": LOADS}]}))
    (tmp_path / "prompts.jsonl").write_text((json.dumps({"prompt": PROMPT}) + "\n") * 2)
    (tmp_path / "matrix.yaml").write_text(json.dumps({**STUDY, "dataset": "prompts.jsonl"}))
    truth = tmp_path / "truth.csv"
    command = [build_dir / "bin" / "llem-rapl-sim", "--truth", truth, tmp_path / "package.json", tmp_path / "rapl", "--"]
    done = subprocess.run([*command, engines.program, "run", tmp_path / "matrix.yaml", "-o", tmp_path / "results"], env=engines.env,
                          cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    study = the_study(tmp_path / "results")
    check_records(engines, study)
    records = [study.result(i) for i in range(len(study.runs))]
    assert len(records) == 12 * STUDY["execution"]["n_cycles"] and study.states() == ["ok"] * len(records)

    # Equal work: the same token ids in and the same number out, of every cell; in float32 the same answers.
    assert {r["workload"]["input_ids_sha256"] for r in records} == {digest(IN, IN)}
    assert {tuple(r["workload"]["output_tokens"]) for r in records} == {(8, 8)}
    assert {metric(r, "tokens_in_computed")["value"] for r in records} == {metric(records[0], "tokens_in")["value"]}
    exact = [r for r in records if r["config"]["precision"] == "fp32"]
    assert len(exact) * 2 == len(records)
    assert {r["workload"]["output_ids_sha256"] for r in exact} == {digest(OUT[:8], OUT[:8])}
    assert "Unequal work" not in done.stdout

    # The stamps of each request: the engine's own beside those of whoever sees its tokens.
    for i, record in enumerate(records):
        for row in requests(study, i):
            assert (row["tokens_in"], row["tokens_out"]) == (len(IN), 8)
            if record["config"]["backend"] == "vllm":
                assert row["engine_queued_ns"] <= row["engine_scheduled_ns"] < row["engine_first_token_ns"] < row["engine_last_token_ns"]
                assert 0 < row["engine_ttft_s"] <= row["ttft_s"] + 1e-6

    # Joules of the tree, and the truth in nearly all of the intervals.
    held = 0
    for record in records:
        window, energy = record["timing"]["window"], metric(record, "energy_j")
        assert energy["status"] == "simulated" and "rapl" in energy["sensor"], energy
        assert metric(record, "ttft_mean_s")["status"] == metric(record, "tpot_mean_s")["status"] == "measured"
        held += energy["low"] <= drawn_j(truth, window["t0_ns"], window["t1_ns"]) <= energy["high"]
    assert held >= len(records) * 0.8
