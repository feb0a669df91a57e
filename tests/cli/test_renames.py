"""Names of other programs that mean exactly what a name here means are taken, with a warning and a note in the result."""

import json

import pytest

RENAMED = [
    ("llamacpp.threads", "llamacpp.n_threads", 2),
    ("llamacpp.threads_batch", "llamacpp.n_threads_batch", 2),
    ("llamacpp.cache_type_k", "llamacpp.type_k", "bf16"),
    ("llamacpp.cache_type_v", "llamacpp.type_v", "bf16"),
    ("llamacpp.n_seq_max", "llamacpp.n_parallel", 3),
    ("llamacpp.gpu_layers", "llamacpp.n_gpu_layers", 0),
    ("vllm.sampling.temperature", "decoder.temperature", 0.5),
    ("vllm.sampling.max_tokens", "max_output_tokens", 7),
    ("vllm.sampling.min_tokens", "decoder.min_new_tokens", 2),
    ("vllm.sampling.ignore_eos", "decoder.ignore_eos", False),
    ("pytorch.temperature", "decoder.temperature", 0.5),
    ("pytorch.max_new_tokens", "max_output_tokens", 7),
]
BESIDES = {"decoder.min_new_tokens": {"decoder.ignore_eos": False}}


def at(tree, path):
    for name in path.split("."):
        tree = tree[name]
    return tree


def put(folder, fields):
    tree = {}
    for dotted, value in fields.items():
        *sections, name = dotted.split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value
    path = folder / "r.yaml"
    path.write_text(json.dumps(tree, indent=1))
    return path


def cell_of(llem, fields):
    done = llem.run("config", "show", "--json", put(llem.folder, {"model": "gpt2", "n": 1, **fields}))
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads(done.stdout)
    return cell, done.stderr


@pytest.mark.parametrize("written, name, value", RENAMED, ids=[row[0] for row in RENAMED])
def test_an_exact_rename_is_taken_with_a_note(llem, written, name, value):
    fields = {"backend": written.partition(".")[0], **BESIDES.get(name, {})}
    cell, said = cell_of(llem, {**fields, written: value})
    assert at(cell["config"], name) == value
    assert f"{written} is called {name} now" in said
    assert cell["origins"][name].endswith(f"written as {written}")
    ours, silent = cell_of(llem, {**fields, name: value})
    assert ours["config_hash"] == cell["config_hash"] and "is called" not in silent


def test_a_name_that_would_change_other_engines_is_an_error(llem):
    """A value of one engine's section is no value for all of them."""
    path = put(llem.folder, {"model": "m", "vllm.sampling.temperature": 0.5, "sweep": {"backend": ["vllm", "pytorch"]}})
    done = llem.run("config", "check", path)
    assert done.returncode == 2 and "unknown field 'vllm.sampling.temperature'" in done.stderr
    assert "write decoder.temperature" in done.stderr


def test_both_names_are_said_twice(llem):
    path = put(llem.folder, {"backend": "llamacpp", "model": "m", "llamacpp.threads": 2, "llamacpp.n_threads": 2})
    done = llem.run("config", "check", path)
    assert done.returncode == 2 and "llamacpp.n_threads is given twice" in done.stderr
