"""What a plan lacks on this machine is said before anything runs, once, by config check and run alike."""

import json
import sys
from pathlib import Path

import pytest
from studies import gguf, the_study, write

WAYS = {"check": ("config", "check"), "plan": ("plan",)}


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def way(request):
    return request.param


def test_nothing_is_missing(llem, tmp_path, way):
    done = llem.run(*way, write(tmp_path / "t.yaml"))
    assert (done.returncode, done.stderr) == (0, "")


def test_both_ways_print_the_same_plan(llem, tmp_path):
    path = write(tmp_path / "t.yaml", sweep={"sim.threads": [1, 2]}, execution={"n_cycles": 2})
    check, plan = (llem.ok(*way, path) for way in WAYS.values())
    assert check == plan
    assert check.startswith("t: 2 cells × 2 cycles = 4 runs, shuffled (seed ")


def test_no_sensor_at_all_is_said_before(llem, tmp_path, way):
    """Not for a file that asked for a model; a processor with RAPL has a sensor."""
    places = ("/sys/bus/event_source/devices/power", "/sys/class/powercap/intel-rapl:0")
    rapl = any(Path(place).exists() for place in places)
    path = write(tmp_path / "t.yaml", {"energy.modelled": False}, sweep={"sim.threads": [1, 2]})
    done = llem.run(*way, path, env={"LLEM_NVML_LIBRARY": "/nowhere/libnvidia-ml.so.1"})
    assert done.stderr.count("no energy sensor was found on this machine: energy will be absent") == (0 if rapl else 1)
    assert rapl or "energy.modelled: true adds a modelled value" in done.stderr
    assert "no energy sensor" not in llem.run(*way, path, "energy.modelled=true").stderr
    assert "no energy sensor" not in llem.run(*way, path, "energy.backend=none").stderr


def test_an_interpreter_without_the_engine(llem, tmp_path, way):
    """The Python of the tests has no torch."""
    llem.env["LLEM_PYTORCH_PYTHON"] = sys.executable
    path = tmp_path / "t.yaml"
    path.write_text("model: smollm2-135m-instruct\nsweep: {random_seed: [1, 2, 3]}\n")
    done = llem.run(*way, path)
    assert done.returncode == 2
    assert done.stderr.count("has no torch, transformers; `llem engine pull pytorch`") == 1
    assert "the file names no backend, so it is pytorch" in done.stderr
    written = llem.run(*way, path, "backend=pytorch")
    assert "command line 'backend=pytorch': error: pytorch cannot start on this machine: " in written.stderr
    assert "names no backend" not in written.stderr


def test_model_that_is_not_here(llem, tmp_path, way):
    path = tmp_path / "t.yaml"
    path.write_text("model: smollm2-135m-instruct\nbackend: llamacpp\n")
    done = llem.run(*way, path, env={"LLEM_MODELS_DIR": str(tmp_path)})
    assert done.returncode == 0
    assert "t.yaml:1:8: warning: the bf16 form of smollm2-135m-instruct is not here; get it with: llem model" in done.stderr


@pytest.mark.parametrize(
    "fields, keep, said",
    [
        ({"model": "Qwen/Qwen3-0.6B"}, None, "write the path of its GGUF file"),
        ({"model": "smollm2-135m-instrct"}, None, "did you mean 'smollm2-135m-instruct'?"),
        ({"model": "./m.gguf"}, 230, "'token_embd.weight' ends at byte"),
        ({"model": "./m.gguf"}, 100, "it is truncated or damaged; get it again"),
        ({"model": "./m.gguf", "precision": "bf16"}, None, "precision: bf16, but"),
        ({"model": "./m.gguf", "llamacpp.quantization": "q8_0"}, None, "m.gguf holds f16 weights; leave it out"),
        ({"model": "./m.gguf", "max_output_tokens": 4000}, None, "m.gguf was trained for 2048"),
    ],
)
def test_model_that_cannot_be_meant(llem, tmp_path, way, fields, keep, said):
    """An error where no cell is left, a warning where another can run."""
    gguf(tmp_path / "m.gguf", keep=keep)
    fields = {"backend": "llamacpp", **fields}
    whole = llem.run(*way, write(tmp_path / "t.yaml", fields))
    assert whole.returncode == 2
    assert f"error: {said}" in whole.stderr or ("error: " in whole.stderr and said in whole.stderr)
    model = fields.pop("model")
    gguf(tmp_path / "good.gguf", file_type=7 if "llamacpp.quantization" in fields else 32)
    if "max_output_tokens" in fields:
        return
    swept = write(tmp_path / "s.yaml", fields, sweep={"model": [model, "./good.gguf"]})
    tree = swept.read_text().replace('"model": "scripted",', "")
    swept.write_text(tree)
    done = llem.run(*way, swept)
    assert done.returncode == 0, done.stderr
    assert "warning: " in done.stderr and said in done.stderr


def test_label_of_a_file_stands_where_it_was_written(llem, tmp_path):
    gguf(tmp_path / "m.gguf", file_type=1)
    path = tmp_path / "t.yaml"
    path.write_text("model: ./m.gguf\nbackend: llamacpp\nprecision: bf16\n")
    assert "t.yaml:3:12: error: precision: bf16, but" in llem.run("config", "check", path).stderr
    assert llem.run("config", "check", path, "precision=fp16").returncode == 0
    path.write_text("model: ./m.gguf\nbackend: llamacpp\n")
    shown = llem.ok("config", "show", path)
    assert "\nprecision" not in shown
    assert "\nprecision" in llem.ok("config", "show", path, "model=smollm2-135m-instruct")


def test_more_threads_than_processors(llem, tmp_path, way):
    path = write(tmp_path / "t.yaml", {"backend": "llamacpp", "llamacpp.n_threads": 512})
    gguf(tmp_path / "m.gguf")
    done = llem.run(*way, path, "model=./m.gguf")
    assert done.returncode == 0
    assert done.stderr.count("warning: llamacpp.n_threads") == 1
    assert "llamacpp.n_threads: 512 is more than the" in done.stderr
    assert "is more than" not in llem.run(*way, path, "model=./m.gguf", "llamacpp.n_threads=1").stderr
    swept = llem.run(*way, path, "model=./m.gguf", "sweep.llamacpp.n_threads=[511,512]", "sweep.random_seed=[1,2]").stderr
    assert swept.count("is more than the") == swept.count("the threads will wait for each other") == 2


@pytest.mark.parametrize("below", ["file", "file/deeper/results"])
def test_results_that_cannot_be_written(llem, tmp_path, below):
    (tmp_path / "file").write_text("")
    place = tmp_path / below
    path = write(tmp_path / "t.yaml")
    for command in (("run",), ("plan",)):
        done = llem.run(*command, path, "-o", place)
        assert done.returncode == 2
        assert f"error: results cannot be written to {place}: {tmp_path}/file" in done.stderr
        assert "Not a directory" in done.stderr
    done = llem.run("config", "check", path, f"output_dir={place}")
    assert done.returncode == 2
    assert f"command line 'output_dir={place}': error: results cannot be written" in done.stderr


@pytest.mark.parametrize(
    "name, text, said",
    [
        ("missing.jsonl", None, "No such file"),
        ("small.jsonl", '{"prompt": "one"}\n', "2 prompts asked for, the data set has 1"),
        ("broken.jsonl", '{"prompt": "one"}\n{"prompt": 2}\n', "broken.jsonl:2:1"),
    ],
)
def test_data_set(llem, tmp_path, way, name, text, said):
    if text:
        (tmp_path / name).write_text(text)
    done = llem.run(*way, write(tmp_path / "t.yaml", dataset=f"./{name}"))
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "results").exists()


def test_the_data_set_of_the_documentation(llem, tmp_path):
    page = llem.ok("config", "reference").partition("## Data sets")[2]
    (tmp_path / "mine.jsonl").write_text(page.split("```json\n")[1].split("```")[0])
    path = write(tmp_path / "t.yaml", dataset="./mine.jsonl", **{"dataset_order": "grouped"})
    assert llem.run("config", "check", path).stderr == ""
    assert "the data set has 2" in llem.run("config", "check", path, "n=3").stderr


def test_data_set_too_small_stops_a_run(llem, tmp_path):
    done = llem.run("run", write(tmp_path / "t.yaml", n=100000))
    assert done.returncode == 2
    assert "100000 prompts asked for" in done.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("modelled, said", [(False, "energy will be absent"), (True, "energy will be modelled")])
def test_sensor_that_is_not_here(llem, tmp_path, way, modelled, said):
    path = write(tmp_path / "t.yaml", {"energy.backend": "nvml", "energy.modelled": modelled})
    done = llem.run(*way, path, env={"LLEM_NVML_LIBRARY": str(tmp_path / "no.so")})
    assert done.returncode == 0
    assert "warning: energy.backend: nvml measures nothing here" in done.stderr
    assert said in done.stderr


def test_calibration_that_is_not_there(llem, tmp_path, way):
    path = write(tmp_path / "t.yaml", {"energy.calibration": "nofile"})
    done = llem.run(*way, path)
    assert done.returncode == 2
    assert f"energy.calibration: there is no file or folder {tmp_path}/nofile" in done.stderr
    (tmp_path / "nofile").write_text("{}")
    assert llem.run(*way, path).returncode == 0


@pytest.mark.parametrize("value", ["max_output_tokens=64", "sweep.precision=[fp16]"])
def test_output_that_is_a_field(llem, tmp_path, value):
    done = llem.run("run", write(tmp_path / "t.yaml"), "-o", value)
    assert done.returncode == 2
    assert f"llem run FILE {value}" in done.stderr
    assert not (tmp_path / value).exists()


def test_output_with_an_equals_sign(llem, tmp_path):
    done = llem.run("plan", write(tmp_path / "t.yaml"), "-o", "run=3")
    assert done.returncode == 0


def test_config_has_no_option_o(llem, tmp_path):
    done = llem.run("config", "check", write(tmp_path / "t.yaml"), "-o", "n=3")
    assert done.returncode == 2
    assert "unknown option -o" in done.stderr


def test_a_cell_that_could_not_succeed_is_refused_and_the_others_run(llem, tmp_path):
    """Beyond what the model was trained for: no engine is started for it, and the journal says why."""
    path = write(tmp_path / "t.yaml", {"backend": "llamacpp", "model": "./m.gguf", "energy.backend": "none", "energy.modelled": False},
                 sweep={"max_output_tokens": [4, 4000]}, execution={"n_cycles": 1, "order": "sequential"})
    fields = json.loads(path.read_text())
    del fields["max_output_tokens"]
    path.write_text(json.dumps(fields))
    gguf(tmp_path / "m.gguf")
    done = llem.run("run", path, "-o", tmp_path / "results")
    study = the_study(tmp_path / "results")
    assert done.returncode == 1
    assert study.states() == ["failed", "refused"]  # a model with a head and no layers loads nowhere
    last = study.journal[-1]
    assert "m.gguf was trained for 2048" in last["message"] and "lower one of them" in last["message"]
    assert "exchange" not in last and len(study.runs) == 1
    assert "trained for 2048" in llem.run("show", study.folder).stdout
