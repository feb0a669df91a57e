"""llem run on the real engine with a real model: the same work in every cell, figures that hang together.

`make test` brings the model (its stage "model")."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from studies import check_records, metric, the_study, write

REAL = {
    "model": "smollm2-135m-instruct",
    "backend": "llamacpp",
    "n": 3,
    "max_input_tokens": 24,
    "max_output_tokens": 6,
    "warmup.n_warmup": 1,
    "warmup.max_prompts": 2,
}


@pytest.fixture
def real(llem, tmp_path):
    llem.use_real_models()

    def run(fields=None, sweep=None, expect=0):
        path = write(tmp_path / "real.yaml", {**REAL, **(fields or {})}, sweep=sweep, execution={"n_cycles": 1})
        done = llem.run("run", path, "-o", tmp_path / "results", timeout=300)
        assert done.returncode == expect, f"{done.stdout}\n{done.stderr}"
        study = the_study(tmp_path / "results")
        check_records(llem, study)
        return study, done

    return run


def test_a_sweep_of_the_real_engine(real):
    study, done = real({"llamacpp.quantization": "q4_1"}, {"llamacpp.n_parallel": [1, 3]})
    assert study.states() == ["ok", "ok"]
    one, three = sorted((study.result(i) for i in range(2)), key=lambda r: r["config"]["llamacpp"]["n_parallel"])
    assert one["workload"]["input_ids_sha256"] == three["workload"]["input_ids_sha256"]
    assert one["workload"]["output_ids_sha256"] == three["workload"]["output_ids_sha256"]
    for record in (one, three):
        assert record["simulated"] is False
        assert metric(record, "tokens_out")["value"] == 18
        assert metric(record, "energy_j")["status"] == "modelled"
        assert metric(record, "ttft_mean_s")["status"] == "measured"
        assert metric(record, "host_peak_memory_mb")["value"] > 90
        assert metric(record, "flops")["value"] > 18 * 2 * 100e6
        assert record["engine"]["facts"]["model_sha256"]
        assert record["environment"]["engine"]["version"]
        assert record["energy"]["scope"] == "CPU cores of the engine"
    assert "J/token (modelled)" in done.stdout


def test_greedy_ids_repeat_from_run_to_run(real, tmp_path):
    first, _ = real({"llamacpp.quantization": "q4_1"})
    ids = first.result()["workload"]["output_ids_sha256"]
    (tmp_path / "results").rename(tmp_path / "earlier")
    again, _ = real({"llamacpp.quantization": "q4_1"})
    assert again.result()["workload"]["output_ids_sha256"] == ids


def test_quantised_weights_with_one_sequence_and_two(real):
    """A batch may take other kernels: the work is equal, and where an answer is another one, that is said, and where from."""
    study, done = real({"llamacpp.quantization": "q8_0", "n": 2, "max_output_tokens": 24, "warmup.enabled": False,
                        "energy.max_repeats": 1}, {"llamacpp.n_parallel": [1, 2]})  # fmt: skip
    one, two = sorted((study.result(i) for i in range(2)), key=lambda r: r["config"]["llamacpp"]["n_parallel"])
    for name in ("input_ids_sha256", "input_tokens", "output_tokens"):
        assert one["workload"][name] == two["workload"][name]
    assert one["workload"]["output_tokens"] == [24, 24]
    columns = [r["workload"]["output_columns"] for r in (one, two)]
    parted = next((i // 8 + 1 for i in range(0, len(columns[0]), 8) if columns[0][i : i + 8] != columns[1][i : i + 8]), None)
    assert (parted is None) == (one["workload"]["output_ids_sha256"] == two["workload"]["output_ids_sha256"])
    assert (f"the first that differs is token {parted} of an answer" in done.stdout) == (parted is not None)
    assert ("The answers differ" in done.stdout) == (parted is not None)


@pytest.mark.parametrize("form", ["q4_1", "q8_0"])
def test_weights_that_were_changed_behind_llem_are_not_run(llem, tmp_path, form):
    """Of the size they had: the packaged form has a pin, one that was made here is known by what it was then."""
    llem.use_real_models()
    source = Path(llem.env["LLEM_MODELS_DIR"]) / REAL["model"]
    folder = tmp_path / "models" / REAL["model"]
    folder.mkdir(parents=True)
    name = f"SmolLM2-135M-Instruct-{form.upper()}.gguf"
    shutil.copy(source / name, folder / name)
    if form != "q4_1":
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        (folder / f"{name}.sha256").write_text(digest)
    llem.env["LLEM_MODELS_DIR"] = str(tmp_path / "models")
    path = write(tmp_path / "real.yaml", {**REAL, "n": 1, "llamacpp.quantization": form}, execution={"n_cycles": 1})
    llem.ok("run", path, "-o", tmp_path / "before", timeout=300)
    with (folder / name).open("r+b") as f:
        f.seek(60 << 20)
        f.write(bytes(4 << 20))
    done = llem.run("run", path, "-o", tmp_path / "after", timeout=300)
    assert done.returncode == 1, done.stderr
    assert the_study(tmp_path / "after").states() == ["refused"]
    assert "is not the file that was pulled" in done.stdout + done.stderr and "llem model pull" in done.stdout + done.stderr


@pytest.mark.timing
def test_a_self_test_by_the_real_engine(llem, build_dir, tmp_path):
    """Its answers are the load of a board whose counter sees all: that is found and kept, and nothing of it fails."""
    engine, wrapper = next(p for p in build_dir.rglob("llem-engine-llamacpp") if p.is_file()), tmp_path / "engine"
    # Before ordinary work, where that is granted: bursts of load are seen on a busy machine, too.
    wrapper.write_text(f'#!/bin/sh\nchrt -r 1 true 2>&- && exec chrt -r 1 "{engine}"\nexec "{engine}"\n')
    wrapper.chmod(0o755)
    load = [{"type": "constant", "watts": 80}, {"type": "cpu", "program": "llem-engine-llamacpp", "watts_per_core": 120}]
    device = {"architecture": "unknown", "load": load, "counter": {"period_ms": 100}, "average": False,
              "instant": {"period_ms": 100, "window_ms": 100}}
    (tmp_path / "boards.json").write_text(json.dumps({"devices": [device]}))
    llem.env |= {"LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so"), "LLEM_NVML_SIM": str(tmp_path / "boards.json"),
                 "LLEM_ENGINE_LLAMACPP": str(wrapper)}
    llem.use_real_models()
    [model] = (Path(llem.env["LLEM_MODELS_DIR"]) / REAL["model"]).glob("*-Q4_1.gguf")
    for _ in range(2):
        done = llem.run("meter", "selftest", "--json", "-s", "nvml", "--engine", "llamacpp", "--model", model,
                        "--option", "n_threads=1", timeout=400)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        found = json.loads(done.stdout)
        verdicts = {row["check"]: row["verdict"] for row in found["rows"] if row["channel"].endswith(":energy")}
        if verdicts["duty_cycled"] == "pass":
            break
    assert [verdicts[name] for name in ("stuck", "mis_scaled", "duty_cycled", "follows_average")] == ["pass"] * 4, verdicts
    [kept] = (tmp_path / "cache/llem/sensors").glob("selftest-*.json")
    [channel] = [c for name, c in json.loads(kept.read_text())["channels"].items() if name.endswith(":energy")]
    assert channel["verdict"] == "sees_all" and channel["load"].startswith("llama.cpp "), channel
