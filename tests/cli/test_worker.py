"""llem-worker alone: its configuration file is all that it needs, and a file that will not do is said to be so."""

import hashlib
import json
import subprocess

import pytest

import support
from studies import metric, the_study, write

# No sensor is looked for: nothing of the machine comes in, and nothing is written outside the folder.
FIELDS = {"energy.backend": "none", "energy.modelled": False}


@pytest.fixture
def worker(build_dir):
    """worker(PATH): llem-worker with LLEM_CONFIG_PATH and nothing else in its environment."""
    program = next(p for p in build_dir.rglob("llem-worker") if p.is_file())

    def run(config_path, cwd="/"):
        return subprocess.run([program], env={"LLEM_CONFIG_PATH": str(config_path)}, cwd=cwd, timeout=60,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)

    return run


@pytest.fixture
def finished(llem, tmp_path):
    """A run of the whole program: its record, and its exchange file alone in a folder of its own."""
    llem.ok("run", write(tmp_path / "one.yaml", FIELDS), "-o", tmp_path / "results")
    study = the_study(tmp_path / "results")
    exchange = json.loads((study.runs[0] / "config.json").read_text())
    folder = tmp_path / "alone"
    folder.mkdir()
    path = folder / f"{exchange['config_hash']}_config.json"
    path.write_bytes((study.runs[0] / "config.json").read_bytes())
    study.folder.rename(tmp_path / "elsewhere")  # whatever else the first run had is not where it was
    record = json.loads(next((tmp_path / "elsewhere").rglob("result.json")).read_text())
    return path, record


def test_the_configuration_file_alone_is_enough(llem, worker, finished):
    path, first = finished
    done = worker(path)
    assert done.returncode == 0, done.stderr
    result = path.with_name(path.name.replace("_config", "_result"))
    again = support.validate(json.loads(llem.ok("result", "schema")), result)
    assert again["identity"]["config_hash"] == first["identity"]["config_hash"]
    assert again["config"] == first["config"] and again["origins"] == first["origins"]
    for name in ("input_ids_sha256", "output_ids_sha256", "input_tokens"):
        assert again["workload"][name] == first["workload"][name], name
    for name in ("requests", "tokens_in", "tokens_out"):
        assert metric(again, name)["value"] == metric(first, name)["value"] is not None, name
    assert not path.with_name(path.name.replace("_config", "_error")).exists()


def hash_of(hashed):
    text = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize("schema, load, size, accepted", [
    (3, {}, 2, True),  # the option for the batch says it
    (3, {}, 1, False),
    (2, {"load.mode": "batch", "load.size": 2}, 2, True),  # the rule of an older study
    (2, {"load.mode": "batch", "load.size": 2}, 1, False),
])
def test_a_load_is_hashed_or_said_by_an_option(llem, worker, tmp_path, schema, load, size, accepted):
    fields = {**FIELDS, "load.mode": "batch", "load.size": 2}
    llem.ok("run", write(tmp_path / "one.yaml", fields), "-o", tmp_path / "results")
    tree = json.loads((the_study(tmp_path / "results").runs[0] / "config.json").read_text())
    fields = tree["hashed"]["fields"]
    assert fields["sim.batch_size"] == 2 and not any(path.startswith("load.") for path in fields)
    assert tree["config_hash"] == hash_of(tree["hashed"]) and tree["hashed"]["schema"] == 3
    tree["hashed"]["schema"] = schema
    fields.update(load)
    tree["config"]["load"]["size"] = size
    tree["config_hash"] = hash_of(tree["hashed"])
    path = tmp_path / f"{tree['config_hash']}_config.json"
    path.write_text(json.dumps(tree))
    done = worker(path)
    assert done.returncode == (0 if accepted else 1), done.stderr
    if not accepted:
        said = done.stderr + path.with_name(path.name.replace("_config", "_error")).read_text()
        assert "is not what the hash was made of" in said


def test_a_file_that_is_not_there(worker, tmp_path):
    done = worker(tmp_path / "nothing_config.json")
    assert done.returncode == 1
    assert f"{tmp_path}/nothing_config.json: No such file or directory" in done.stderr
    assert list(tmp_path.iterdir()) == []


def torn(text):
    return text[: len(text) // 2]


def of_the_next_version(text):
    return text.replace('"llem-exchange/2"', '"llem-exchange/3"')


def with_an_option_of_the_future(text):
    tree = json.loads(text)
    tree["config"]["sim"]["tokens_us"] = 1
    return json.dumps(tree)


def with_a_hash_of_other_work(text):
    tree = json.loads(text)
    tree["config"]["max_output_tokens"] += 1
    return json.dumps(tree)


@pytest.mark.parametrize("spoil, status, said", [
    (torn, 1, "{path}:"),
    (lambda text: "", 1, "{path}"),
    (lambda text: "[]", 1, "not an exchange file of this version (llem-exchange/2)"),
    (of_the_next_version, 1, "not an exchange file of this version (llem-exchange/2)"),
    (with_an_option_of_the_future, 1, "there is no 'tokens_us'"),
    (with_a_hash_of_other_work, 1, "hash"),
], ids=["torn", "empty", "a list", "another version", "unknown option", "another hash"])
def test_a_file_that_will_not_do(worker, finished, spoil, status, said):
    path, _ = finished
    path.write_text(spoil(path.read_text()))
    done = worker(path)
    assert done.returncode == status, done.stderr
    assert said.format(path=path) in done.stderr
    assert done.stderr.startswith("llem-worker: ") and done.stdout == ""
    assert not list(path.parent.glob("*_result.json*"))


def test_without_a_file_named(worker):
    done = worker("")
    assert done.returncode == 2
    assert "LLEM_CONFIG_PATH must name its exchange file" in done.stderr
