"""Load modes: one meaning on every engine, the same work in each, requests in flight as many as asked for."""

import json

import pytest
import toy
from studies import MODELLED, check_is_a_part, check_records, metric, the_study, write

MODES = ["offline", "batch", "sequential", "closed_loop"]
N, SIZE = 12, 4
AT_ONCE = {"offline": N, "batch": SIZE, "sequential": 1, "closed_loop": SIZE}
TIMES = {"backend": "sim", "sim.token_us": 2000, "sim.prefill_us_per_token": 20, "n": N, "max_output_tokens": 8}
REAL = {"backend": "llamacpp", "model": "smollm2-135m-instruct", "llamacpp.quantization": "q4_1", "n": 7, "load.size": 3,
        "max_input_tokens": 24, "max_output_tokens": 6, "warmup.max_prompts": 1}  # fmt: skip


@pytest.fixture
def run(llem, tmp_path):
    """run(fields, modes): the study, and its records by load.mode."""

    def go(fields, modes=MODES):
        path = write(tmp_path / "s.yaml", {"load.size": SIZE, **fields}, sweep={"load.mode": modes}, execution={"n_cycles": 1})
        llem.ok("run", path, "-o", tmp_path / "results", timeout=300)
        study = the_study(tmp_path / "results")
        check_records(llem, study)
        records = [study.result(i) for i in range(len(study.runs))]
        return {r["config"]["load"]["mode"]: r for r in records}

    return go


def check_same_work(records):
    first = next(iter(records.values()))
    for name in ("input_ids_sha256", "input_tokens", "output_tokens"):
        assert all(r["workload"][name] == first["workload"][name] for r in records.values()), name


def test_each_mode_does_the_same_work_its_own_way(run):
    records = run(TIMES)
    assert sorted(records) == sorted(MODES)
    check_same_work(records)
    for mode, r in records.items():
        assert metric(r, "in_flight_max")["value"] == AT_ONCE[mode], mode
        assert r["config"]["sim"]["batch_size"] == AT_ONCE[mode], mode
        assert r["origins"]["sim.batch_size"] == "follows load", mode
        assert "load_not_kept" not in r["flags"]
    assert metric(records["closed_loop"], "in_flight_mean")["value"] > 0.9 * SIZE
    # In a closed loop a request is handed over when its place is free; all at once, they wait for each other's prompts.
    ttft, e2e = ({mode: metric(r, name)["value"] for mode, r in records.items()} for name in ("ttft_mean_s", "latency_mean_s"))
    assert ttft["sequential"] < ttft["closed_loop"] < ttft["offline"]
    assert e2e["closed_loop"] < 0.6 * metric(records["closed_loop"], "window_s")["value"]


def test_the_steady_state_of_a_closed_loop(run):
    records = run({**TIMES, **MODELLED, "sim.jitter": 0.2, "sim.decode_load": 0.2})
    steady = {name: metric(records["closed_loop"], "steady_" + name)["value"]
              for name in ("s", "tokens_out", "output_tokens_per_s", "energy_j", "joules_per_output_token")}  # fmt: skip
    r = records["closed_loop"]
    window, at = r["timing"]["window"], r["timing"]["steady"]
    assert window["t0_ns"] < at["t0_ns"] < at["t1_ns"] < window["t1_ns"]
    assert steady["s"] == pytest.approx((at["t1_ns"] - at["t0_ns"]) / 1e9)
    assert 0 < steady["tokens_out"] < metric(r, "tokens_out")["value"]
    assert steady["output_tokens_per_s"] == pytest.approx(steady["tokens_out"] / steady["s"])
    check_is_a_part(metric(r, "steady_energy_j"), metric(r, "energy_j"))
    assert steady["joules_per_output_token"] == pytest.approx(steady["energy_j"] / steady["tokens_out"])
    offline, whole = records["offline"], records["offline"]["timing"]["steady"]
    assert offline["timing"]["window"]["t0_ns"] < whole["t0_ns"] < whole["t1_ns"] <= offline["timing"]["window"]["t1_ns"]
    per_request = metric(offline, "steady_tokens_out")["value"] / N  # all of them step together: no more than seven steps each
    assert 1 <= per_request <= 7
    for mode in ("batch", "sequential"):
        for name in steady:
            figure = metric(records[mode], "steady_" + name)
            assert (figure["status"], "closed_loop alone" in figure["reason"]) == ("absent", True), (mode, name)
        assert records[mode]["timing"]["steady"] is None


def test_no_steady_state_where_nobody_waits(run):
    r = run({**TIMES, "load.size": N}, ["closed_loop"])["closed_loop"]
    assert "none waited to join" in metric(r, "steady_s")["reason"]
    assert "none waited to join" in metric(r, "steady_energy_j")["reason"]


def test_an_engine_that_does_not_heed_the_size(run):
    r = run({**TIMES, "sim.fail": "ignore_in_flight"}, ["closed_loop"])["closed_loop"]
    assert metric(r, "in_flight_max")["value"] > SIZE
    assert "load_not_kept" in r["flags"]


def test_without_a_load_batches_are_the_engines_own(llem, tmp_path):
    path = write(tmp_path / "s.yaml", {**TIMES, "sim.batch_size": 3}, execution={"n_cycles": 1})
    llem.ok("run", path, "-o", tmp_path / "results")
    r = the_study(tmp_path / "results").result()
    assert "load" not in r["config"]
    assert metric(r, "in_flight_max")["value"] == 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"load.mode": "batch"}, "load.mode: batch needs load.size to be set"),
        ({"load.mode": "closed_loop", "load.size": 3, "n": 2}, "n must be at least load.size; they are 2 and 3"),
        ({"load.mode": "batch", "load.size": 4, "sim.batch_size": 3, "n": 8},
         "sim.batch_size: 3 contradicts load, by which it is 4 (load.mode is batch)"),
        ({"load.mode": "sequential", "sim.batch_size": 3}, "sim.batch_size: 3 contradicts load, by which it is 1"),
        ({"backend": "llamacpp", "load.mode": "closed_loop", "load.size": 4, "llamacpp.n_parallel": 2, "n": 8},
         "llamacpp.n_parallel: 2 contradicts load, by which it is at least 4 (load.mode is closed_loop)"),
        ({"backend": "pytorch", "load.mode": "closed_loop", "load.size": 2},
         "load.mode: closed_loop needs backend to be other than pytorch"),
    ],
)  # fmt: skip
def test_what_contradicts_is_told_where_it_stands(llem, tmp_path, fields, message):
    path = write(tmp_path / "s.yaml", fields)
    done = llem.run("config", "check", path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "s.yaml:" in done.stderr


def test_what_agrees_is_taken(llem, tmp_path):
    path = write(tmp_path / "s.yaml", {"load.mode": "batch", "load.size": 2, "sim.batch_size": 2})
    llem.ok("config", "check", path)


def test_cells_whose_engine_lacks_the_mode_are_skipped(llem, tmp_path):
    sweep = {"backend": ["sim", "pytorch"], "load.mode": ["batch", "closed_loop"]}
    path = tmp_path / "s.yaml"
    path.write_text(json.dumps({"model": "m", "n": 2, "load": {"size": 2}, "sweep": sweep}))
    done = llem.run("plan", path)
    assert "3 cells" in done.stdout
    assert "skipped           backend=pytorch load.mode=closed_loop: load.mode: closed_loop needs" in done.stdout
    assert "none joins those under way" in done.stdout


def test_the_real_engine_in_every_mode(llem, run):
    llem.use_real_models()
    records = run(REAL)
    assert sorted(records) == sorted(MODES)
    check_same_work(records)
    for mode, at_once in {"offline": 7, "batch": 3, "sequential": 1, "closed_loop": 3}.items():
        r = records[mode]
        assert metric(r, "tokens_out")["value"] == 7 * 6
        assert metric(r, "in_flight_max")["value"] == at_once, mode
        assert r["engine"]["resolved"]["n_parallel"] == at_once, mode
        # q4_1 weights and F16 caches give one answer however many sequences are computed together.
        assert r["workload"]["output_ids_sha256"] == records["sequential"]["workload"]["output_ids_sha256"], mode
    assert metric(records["closed_loop"], "in_flight_mean")["value"] > 2
    assert metric(records["closed_loop"], "steady_tokens_out")["value"] > 0


@pytest.mark.parametrize("load, n, said", [
    ({"mode": "batch", "size": 3}, 6, "load.size is 3, and toy as it is loaded computes 2 requests at once"),
    ({"mode": "closed_loop", "size": 3}, 6, "load.size is 3, and toy as it is loaded computes 2 requests at once"),
    ({"mode": "batch", "size": 2}, 6, None),
    ({"mode": "offline"}, 6, None),
])
def test_more_at_once_than_the_engine_computes_is_no_load_of_that_size(llem, load, n, said):
    """An engine that would divide the batch by itself says when it is loaded how many it computes together."""
    program = toy.block("python").replace("weights_bytes=0)", "weights_bytes=0, in_flight=2)")
    toy.install(llem, program=program, descriptor=lambda tree: tree.update(modes=["batch", "in_flight"]))
    path = write(llem.folder / "s.yaml", {"backend": "toy", "model": "m", "n": n, "max_output_tokens": 2, "warmup.enabled": False,
                                          "energy.modelled": False, **{f"load.{key}": value for key, value in load.items()}})
    done = llem.run("run", path, "execution.n_cycles=1", "-o", llem.folder / "results")
    assert done.returncode == (1 if said else 0), done.stderr
    if said:
        assert said in the_study(llem.folder / "results").error()["message"]
