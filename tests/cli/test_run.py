"""llem run, end to end, on the scripted engine: the table, the folder, the records, what stays equal."""

import csv
import gzip
import json
import re
import signal
import subprocess
import time
from datetime import datetime

import pytest

import studies
import support
from studies import check_records, metric, the_study, write


def run(llem, path, *arguments, expect=0, **options):
    done = llem.run("run", path, "-o", llem.folder / "results", *arguments, **options)
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def test_one_experiment(llem, tmp_path):
    done = run(llem, write(tmp_path / "one.yaml", {"sim.decode_load": 0.5, "sim.token_us": 100000}))
    study = the_study(tmp_path / "results")
    assert study.states() == ["ok"]
    check_records(llem, study)
    record = study.result()
    assert {p.name for p in study.runs[0].iterdir()} >= {
        "config.json", "result.json", "trace.csv.gz", "environment.json", "engine.log",
    }
    assert metric(record, "requests")["value"] == 2
    assert metric(record, "tokens_out")["value"] == 8
    assert metric(record, "energy_j")["status"] == "modelled"
    low, value, high = (metric(record, "joules_per_output_token")[k] for k in ("low", "value", "high"))
    assert 0 < low < value < high
    assert "J/token (modelled)" in done.stdout
    assert "What was looked for" in done.stdout
    assert str(study.folder) in done.stderr


def test_times_are_the_script_s(llem, tmp_path):
    """TTFT, TPOT and rates follow from the script: 4 gaps of 200 ms, be the first stamp late by 100 ms.

    A loaded machine adds to every time but one: a first stamp that comes late shortens what follows it.
    Five gaps where there are four would be 6.25 tokens a second.
    """
    fields = {"sim.token_us": 200000, "sim.prefill_us_per_token": 1000, "max_output_tokens": 5, "n": 1}
    run(llem, write(tmp_path / "t.yaml", fields))
    record = the_study(tmp_path / "results").result()
    tokens = metric(record, "tokens_in")["value"]
    assert metric(record, "ttft_mean_s")["value"] >= tokens * 0.001
    assert metric(record, "tpot_mean_s")["value"] >= (4 * 0.2 - 0.1) / 4
    assert metric(record, "decode_tokens_per_s")["value"] <= 4 / (4 * 0.2 - 0.1)
    assert metric(record, "window_s")["value"] >= tokens * 0.001 + 4 * 0.2


def test_sweep_gives_equal_work(llem, tmp_path):
    sweep = {"sim.threads": [1, 2], "sim.batch_size": [1, 2]}
    done = run(llem, write(tmp_path / "s.yaml", sweep=sweep, execution={"n_cycles": 2}))
    study = the_study(tmp_path / "results")
    assert study.states() == ["ok"] * 8
    check_records(llem, study)
    records = [study.result(i) for i in range(8)]
    assert len({r["workload"]["input_ids_sha256"] for r in records}) == 1
    assert len({r["workload"]["output_ids_sha256"] for r in records}) == 1
    assert len({r["identity"]["config_hash"] for r in records}) == 4
    assert sorted(r["identity"]["cycle"] for r in records) == [1] * 4 + [2] * 4
    header = done.stdout.splitlines()[0]
    assert {"cycle", "threads", "batch_size", "tokens/s"} <= set(re.split(r"\s{2,}", header))


def test_batch_size_is_the_engine_s_batch(llem, tmp_path):
    """Two prompts, steps of 20 ms: together one run of 3 steps after the first token, one by one two."""
    fields = {"sim.token_us": 20000, "n": 2, "warmup.enabled": False}
    run(llem, write(tmp_path / "b.yaml", fields, sweep={"sim.batch_size": [2, 1]},
                    execution={"n_cycles": 1, "order": "sequential"}))
    study = the_study(tmp_path / "results")
    together, single = (metric(study.result(i), "window_s")["value"] for i in (0, 1))
    assert 0.055 < together < single and single > 0.115


def test_pause_between_runs(llem, tmp_path):
    """As long as the study asks for, and a longer one where a cycle ends; none after the last run."""
    run(llem, write(tmp_path / "p.yaml", sweep={"sim.threads": [1, 2]},
                    execution={"n_cycles": 2, "experiment_gap_seconds": 0.3, "cycle_gap_seconds": 0.9}))
    journal = the_study(tmp_path / "results").journal
    assert [line["state"] for line in journal] == ["running", "ok"] * 4
    times = [datetime.fromisoformat(line["utc"].replace("Z", "+00:00")) for line in journal]
    first, between_cycles, last = [(times[i + 1] - times[i]).total_seconds() for i in (1, 3, 5)]
    assert min(first, last) >= 0.3 and between_cycles >= 0.9
    assert min(first, last) < 0.9  # the shorter one is another


def test_interrupt_ends_a_pause(llem, tmp_path):
    process = llem.start("run", write(tmp_path / "p.yaml", sweep={"sim.threads": [1, 2]},
                                      execution={"n_cycles": 1, "experiment_gap_seconds": 600}),
                         "-o", tmp_path / "results")
    end = time.monotonic() + 60
    while time.monotonic() < end and not support.any_says(tmp_path, "journal.jsonl", '"ok"'):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, (out, err)
    assert the_study(tmp_path / "results").states() == ["ok"]


def test_closed_descriptors_do_not_reach_the_files(llem, tmp_path):
    path = write(tmp_path / "c.yaml")
    command = " ".join(map(str, llem.command("run", path, "-o", tmp_path / "results")))
    done = subprocess.run(["sh", "-c", f"exec {command} >&- 2>&-"], env=llem.env, timeout=60, cwd=tmp_path)
    assert done.returncode == 1  # the table was lost
    assert the_study(tmp_path / "results").states() == ["ok"]


def test_cycles_must_be_at_least_one(llem, tmp_path):
    done = run(llem, write(tmp_path / "c.yaml"), "--cycles", "0", expect=2)
    assert "n_cycles" in done.stderr


def test_inputs_are_truncated_to_the_limit(llem, tmp_path):
    run(llem, write(tmp_path / "t.yaml", {"max_input_tokens": 3}))
    record = the_study(tmp_path / "results").result()
    assert record["workload"]["input_tokens"] == [3, 3]
    assert record["workload"]["prompts_truncated"] == 2


def test_no_energy_is_absent_with_a_reason(llem, tmp_path):
    done = run(llem, write(tmp_path / "t.yaml", {"energy.backend": "none", "energy.modelled": False}))
    record = the_study(tmp_path / "results").result()
    for name in ("energy_j", "joules_per_output_token", "power_mean_w"):
        assert metric(record, name)["value"] is None
        assert "energy.backend is none" in metric(record, name)["reason"]
    assert re.search(r"\babsent\b", done.stdout)


def test_trace_is_readable_and_carries_the_marks(llem, tmp_path):
    run(llem, write(tmp_path / "t.yaml", {"sim.decode_load": 1, "sim.token_us": 50000}))
    study = the_study(tmp_path / "results")
    with gzip.open(study.runs[0] / "trace.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    text = json.dumps(rows)
    assert "window.begin" in text and "window.end" in text
    assert len(rows) > 10


def test_show_prints_the_same_table(llem, tmp_path):
    done = run(llem, write(tmp_path / "t.yaml", sweep={"sim.threads": [1, 2]}, execution={"n_cycles": 1}))
    study = the_study(tmp_path / "results")
    assert llem.ok("show", study.folder) == done.stdout


def test_the_reference_page_is_current(llem):
    page = support.ROOT / "docs" / "results.md"
    assert page.read_text() == llem.ok("result", "reference"), "llem result reference > docs/results.md"


def test_plan_runs_nothing(llem, tmp_path):
    path = write(tmp_path / "t.yaml", sweep={"sim.threads": [1, 2]}, execution={"n_cycles": 3})
    done = llem.run("plan", path)
    assert "2 cells × 3 cycles = 6 runs" in done.stdout
    assert not (tmp_path / "results").exists()


def test_override_and_cycles(llem, tmp_path):
    path = write(tmp_path / "t.yaml", sweep={"sim.threads": [1, 2]})
    done = llem.run("plan", path, "--cycles", "2", "max_output_tokens=7")
    assert "2 cells × 2 cycles = 4 runs" in done.stdout


def test_quiet_prints_the_table_alone(llem, tmp_path):
    done = run(llem, write(tmp_path / "t.yaml"), "--quiet")
    assert done.stdout.startswith("#")
    assert not re.search(r"\[1/1\]", done.stderr)


@pytest.mark.parametrize("case, text, said", [
    ("unknown key", "model: m\nbackend: sim\nmax_output_token: 3\n", "did you mean"),
    ("wrong type", "model: m\nbackend: sim\nn: many\n", ":3:4: error"),
    ("no model", "backend: sim\n", "model"),
    ("not in this version", "model: m\nbackend: tensorrt\n", "not in this version"),
    ("tab", "model: m\n\tbackend: sim\n", ":2:1"),
])
def test_wrong_files_are_located(llem, tmp_path, case, text, said):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    done = run(llem, path, expect=2)
    assert said in done.stderr, (case, done.stderr)
    assert "wrong.yaml" in done.stderr
    assert not (tmp_path / "results").exists()


def test_missing_file(llem, tmp_path):
    done = run(llem, tmp_path / "nothing.yaml", expect=2)
    assert "nothing.yaml" in done.stderr


def test_skipped_cell_says_how_to_get_the_model(llem, tmp_path):
    fields = {"model": "smollm2-135m-instruct", "backend": "llamacpp"}
    path = write(tmp_path / "t.yaml", fields)
    done = run(llem, path, expect=1, env={"LLEM_MODELS_DIR": str(tmp_path / "empty")})
    assert the_study(tmp_path / "results").states() == ["skipped"]
    assert "llem model pull smollm2-135m-instruct" in done.stdout


def test_hash_names_the_work_not_the_place(llem, tmp_path):
    """Output settings and key order change nothing; the work does."""

    def hash_of(**fields):
        text = llem.ok("plan", write(tmp_path / "h.yaml", fields))
        return re.search(r"^  ([0-9a-f]{16})", text, re.M).group(1)

    base = hash_of()
    assert hash_of(output_dir="elsewhere") == base
    assert hash_of(**dict(reversed(list(studies.SIM.items())))) == base
    assert hash_of(random_seed=42) == base
    assert hash_of(random_seed=43) != base
    assert hash_of(max_output_tokens=5) != base


def test_every_file_of_a_run_is_documented(llem, tmp_path):
    run(llem, write(tmp_path / "t.yaml"))
    page = llem.ok("result", "reference")
    for path in the_study(tmp_path / "results").runs[0].iterdir():
        assert f"`{path.name}`" in page


@pytest.mark.parametrize("spoil", [
    lambda r: r["timing"].pop("idle_cold_reason"),
    lambda r: r["machine"].update(foreign_gpu_pids_reason=0),
    lambda r: r["energy"]["scopes"][0].update(raw_j=None),
    lambda r: r["energy"]["scopes"][0]["joules"].pop("status"),
    lambda r: r["energy"].pop("guard"),
    lambda r: r["workload"].update(watts=1),
    lambda r: r.pop("steadiness"),
], ids=["null without a reason", "a reason that is no text", "no number and no reason", "a figure without its status",
        "a part is missing", "a member without a row", "a whole part is missing"])
def test_the_schema_sees_what_is_wrong(llem, tmp_path, spoil):
    run(llem, write(tmp_path / "t.yaml"))
    record = the_study(tmp_path / "results").result()
    schema = json.loads(llem.ok("result", "schema"))
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record))
    support.validate(schema, path)
    spoil(record)
    path.write_text(json.dumps(record))
    with pytest.raises(AssertionError, match="does not fit its schema"):
        support.validate(schema, path)
