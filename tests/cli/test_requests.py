"""requests.csv: a line a request, in the clock of the window, as the figures of the record are made from them; empty where unknown."""

import csv
import statistics

import pytest
import toy
from studies import metric, the_study, write

TIMES = {"sim.token_us": 4000, "sim.prefill_us_per_token": 20, "n": 5, "max_output_tokens": 6, "warmup.enabled": False}
OF_THE_ENGINE = ("engine_queued_ns", "engine_scheduled_ns", "engine_first_token_ns")
BY_THE_ENGINE = ("engine_ttft_s", "engine_tpot_s", "engine_latency_s")


def requests(study, index=0):
    """The lines: numbers, words, None where a field is empty."""
    with open(study.runs[index] / "requests.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(None not in row and None not in row.values() for row in rows)
    return [{name: text if name == "finish" else None if text == "" else float(text) if name.endswith("_s") else int(text)
             for name, text in row.items()} for row in rows]  # fmt: skip


@pytest.fixture
def run(llem, tmp_path):
    def go(fields):
        llem.ok("run", write(tmp_path / "s.yaml", fields), "-o", tmp_path / "results", "execution.n_cycles=1")
        study = the_study(tmp_path / "results")
        return study.result(), requests(study)

    return go


def test_a_line_a_request_in_the_clock_of_the_window(run):
    record, rows = run({**TIMES, "load.mode": "closed_loop", "load.size": 2})
    window, work = record["timing"]["window"], record["workload"]
    repeats = work["repeats"]
    assert [row["request"] for row in rows] == list(range(1, 5 * repeats + 1))
    assert [row["prompt"] for row in rows] == [1, 2, 3, 4, 5] * repeats
    assert [row["tokens_in"] for row in rows] == work["input_tokens"] * repeats
    assert [row["tokens_out"] for row in rows] == work["output_tokens"] * repeats
    assert {row["finish"] for row in rows} == {"length"} and {row["merged_chunks"] for row in rows} == {0}
    for row in rows:
        order = [window["t0_ns"], row["released_ns"], row["engine_queued_ns"], row["engine_scheduled_ns"], row["first_token_ns"],
                 row["last_token_ns"], window["t1_ns"]]  # fmt: skip
        assert order == sorted(order), row
        assert row["ttft_s"] == pytest.approx((row["first_token_ns"] - row["engine_queued_ns"]) / 1e9, abs=1e-8)
        assert row["latency_s"] == pytest.approx(row["ttft_s"] + 5 * row["tpot_s"], abs=1e-7)
    for figure, column in {"ttft_mean_s": "ttft_s", "tpot_mean_s": "tpot_s", "latency_mean_s": "latency_s",
                           "prefill_latency_mean_s": "prefill_latency_s"}.items():  # fmt: skip
        assert metric(record, figure)["value"] == pytest.approx(statistics.fmean(row[column] for row in rows), abs=1e-8), figure


def test_a_request_of_one_token_has_no_time_per_token(run):
    _, rows = run({**TIMES, "max_output_tokens": 1})
    assert all(row["tpot_s"] is None and row["engine_tpot_s"] is None and row["ttft_s"] > 0 for row in rows)


def test_what_the_engine_does_not_tell_is_empty(llem, run):
    toy.install(llem)
    _, rows = run({"backend": "toy", "model": "m", "n": 2, "max_output_tokens": 3, "warmup.enabled": False, "energy.modelled": False})
    for row in rows:
        assert all(row[name] is None for name in (*OF_THE_ENGINE, "engine_last_token_ns", "prefill_latency_s", *BY_THE_ENGINE))
        assert row["released_ns"] < row["first_token_ns"] < row["last_token_ns"]
        assert row["ttft_s"] == pytest.approx((row["first_token_ns"] - row["released_ns"]) / 1e9, abs=1e-8)


def test_a_run_that_failed_has_none(llem, tmp_path):
    done = llem.run("run", write(tmp_path / "s.yaml", {**TIMES, "sim.fail": "crash"}), "-o", tmp_path / "results")
    study = the_study(tmp_path / "results")
    assert done.returncode == 1 and (study.runs[0] / "error.json").exists()
    assert not (study.runs[0] / "requests.csv").exists()


def test_the_page_has_every_column(llem, run):
    _, rows = run(TIMES)
    page = llem.ok("result", "reference").partition("\n## Requests\n")[2].partition("\n## ")[0]
    assert [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")] == list(rows[0])
