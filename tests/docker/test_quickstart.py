"""The quickstart in containers: the real engine, a real model, a real daemon, and the same work as on this machine."""

import json

import pytest
from studies import check_records, metric, the_study, write

import support
from rapl_tree import IDLE_W, RaplTree

pytestmark = [pytest.mark.timing, pytest.mark.slow]


@pytest.fixture
def rapl(tmp_path):
    tree = RaplTree(tmp_path, "llem-engine-llamacpp").start()
    yield tree
    tree.stop()


@pytest.fixture
def quick(llem, tmp_path):
    """quick(name, env): examples/quickstart.yaml as it is; the folder of its study."""
    llem.use_real_models()

    def run(name, env):
        done = llem.run("run", support.ROOT / "examples" / "quickstart.yaml", "-o", tmp_path / name, env=env, timeout=400)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        study = the_study(tmp_path / name)
        assert study.states() == ["ok"] * 4
        check_records(llem, study)
        return study, done

    return run


def by_cell(llem, study):
    """Records as everybody reads them: joined with what sensors beside the worker showed."""
    records = [json.loads(llem.ok("show", run, "--json")) for run in study.runs]
    return {(r["config"]["llamacpp"]["quantization"], r["config"]["llamacpp"]["n_parallel"]): r for r in records}


def test_the_quickstart_in_containers(docker, llem, quick, rapl):
    """Counts and token ids are those of this machine, and so are the joules: the host's counter follows the engine."""
    llem.env |= {"LLEM_SYSROOT": str(rapl.root), "LLEM_NVML_LIBRARY": "/nowhere/libnvidia-ml.so.1"}
    here, _ = quick("here", {})
    there, done = quick("there", {"LLEM_RUNNER_LLAMACPP": f"docker:{docker.image('base')}"})
    local, inside = by_cell(llem, here), by_cell(llem, there)
    assert set(inside) == set(local) == {(q, n) for q in ("q4_1", "q8_0") for n in (1, 4)}
    for cell, record in inside.items():
        assert (local[cell]["context"]["runner"], record["context"]["runner"]) == ("local", "docker")
        check_same_work(record, local[cell])
        check_energy(record, rapl)
        check_energy(local[cell], rapl)
    assert all((run / "host_energy.json").exists() for run in there.runs)
    assert "J/token" in done.stdout and "J/token (modelled)" not in done.stdout


def check_same_work(record, local):
    """Ids in and out, every count, the configuration."""
    assert record["identity"]["config_hash"] == local["identity"]["config_hash"]
    for name in ("input_ids_sha256", "output_ids_sha256"):
        assert record["workload"][name] == local["workload"][name], name
    for name in ("tokens_in", "tokens_out", "flops"):
        assert metric(record, name)["value"] == metric(local, name)["value"], name


def check_energy(record, rapl):
    """That of the counter over the window, within its interval; the engine's work is the most of it."""
    window, found = record["timing"]["window"], metric(record, "energy_j")
    assert found["status"] == "measured" and "rapl" in found["sensor"], found
    assert record["energy"]["scope"].startswith("CPU package")
    truth, seconds = rapl.joules(window["t0_ns"], window["t1_ns"]), (window["t1_ns"] - window["t0_ns"]) / 1e9
    assert found["value"] == pytest.approx(truth, rel=0.05)
    assert found["low"] < truth < found["high"]
    assert truth > 1.2 * IDLE_W * seconds, "the counter did not follow the engine"
    per_token = metric(record, "joules_per_output_token")
    assert per_token["status"] == "measured"
    assert per_token["value"] == pytest.approx(found["value"] / metric(record, "tokens_out")["value"])
    assert metric(record, "idle_power_context_w")["value"] > 0.9 * IDLE_W  # engines of other tests may be at work


def test_a_study_of_a_gpu_engine_beside_it(docker, llem, tmp_path, rapl):
    """Its joules are those of the simulated board that the toolkit's stand-in puts into the container; where the engine
    works on a board, the CPU's counter is not its energy."""
    script = tmp_path / "boards.json"
    script.write_text(json.dumps({"devices": [{"load": [{"type": "constant", "watts": 200}], "average": {"window_ms": 1000}}]}))
    fields = {"sim.device": "gpu", "sim.token_us": 43000, "max_output_tokens": 24, "n": 1, "energy.modelled": False,
              "energy.max_repeats": 1, "warmup.enabled": False}
    image = docker.image("base", name="llem-test/steady-board", env={"LLEM_NVML_SIM": str(script)})  # which the stand-in heeds
    fields["runners.sim.use"] = f"docker:{image}"
    path = write(tmp_path / "gpu.yaml", fields, execution={"n_cycles": 1})
    env = {"LLEM_NVML_SIM": str(script), "LLEM_NVML_LIBRARY": str(llem.program.parent.parent / "lib" / "libllem-nvml-sim.so"),
           "LLEM_SYSROOT": str(rapl.root)}
    llem.ok("run", path, "-o", tmp_path / "results", env=env, timeout=150)
    study = the_study(tmp_path / "results")
    check_records(llem, study)
    record = study.result()
    window = record["timing"]["window"]
    truth = 200 * (window["t1_ns"] - window["t0_ns"]) / 1e9
    found = metric(record, "energy_j")
    assert found["status"] == "simulated" and "nvml" in found["sensor"], found
    assert found["value"] == pytest.approx(truth, rel=0.01)
    assert record["context"]["runner"] == "docker"
