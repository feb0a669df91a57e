"""What an error of a file says to do: the right engine, the right package, once."""

import pytest

import fakes
from studies import write
from test_parameters import install


def said_of(llem, fields, command="show"):
    done = llem.run("config", command, write(llem.folder / "s.yaml", {"model": "m", "n": 8, **fields}))
    assert done.returncode == 2, done.stderr
    return done.stderr


@pytest.mark.parametrize("mode, says", [
    ("closed_loop", "say how many requests are always in flight: load: {mode: closed_loop, size: 4}"),
    ("batch", "say how many requests a batch has: load: {mode: batch, size: 4}"),
])
def test_a_load_without_its_size(llem, mode, says):
    said = said_of(llem, {"load.mode": mode})
    assert f"load.mode: {mode} needs load.size to be set" in said and f"= {says}" in said


def test_how_an_engine_is_asked_is_said_once_and_where(llem):
    install(llem)
    fields = {"backend": "toy", "toy.kind": "slow", "toy.zzzzzz": 1, "toy.yyyyyy": 1}
    assert said_of(llem, fields).count("`llem engine schema toy` asks the installed Toy") == 1
    there = said_of(llem, {**fields, "runners.toy": "docker:toy:1"})
    assert there.count("`llem engine schema toy runners.toy=docker:toy:1` asks that Toy") == 1


def test_more_answers_than_one_are_refused_with_the_reason(llem):
    said = said_of(llem, {"backend": "vllm", "vllm.sampling.n": 2})
    assert "vllm.sampling.n: expected an integer, 1 (answers), found 2" in said
    assert "= several answers are several times the work under one name; n has more prompts" in said


@pytest.mark.parametrize("fields, never, says", [
    ({"backend": "vllm", "vllm.engine.n_ubatch": 2}, "llamacpp", "llem engine schema vllm"),
    ({"backend": ["vllm", "llamacpp"], "vllm.engine.n_ubatch": 2}, "llamacpp.n_ubatch", "llem engine schema vllm"),
    ({"backend": "pytorch", "pytorch.max_num_seqs": 2}, "vllm", "llem engine schema pytorch"),
    ({"backend": "vllm", "n_ubatch": 2}, "did you mean", "llamacpp.n_ubatch is an option of another backend"),
    ({"backend": "vllm", "precision": "q8_0"}, "llamacpp", "precision: expected one of fp32, fp16, bf16"),
    ({"backend": "llamacpp", "n_ubatch": 2}, "vllm", "did you mean 'llamacpp.n_ubatch'?"),
    ({"backend": "llamacpp", "precision": "q8_0"}, "vllm", "write llamacpp.quantization: q8_0"),
])
def test_no_option_of_another_engine_is_suggested(llem, fields, never, says):
    backend = fields.pop("backend")
    one = {"backend": backend} if isinstance(backend, str) else {"sweep": {"backend": backend}, "backend": backend[0]}
    said = said_of(llem, {**one, **fields})
    advice = "\n".join(line for line in said.splitlines() if line.lstrip().startswith("="))
    assert never not in advice, said
    assert says in said, said


def test_versions_of_pytorch_are_those_of_transformers(llem, tmp_path):
    llem.env["LLEM_PYTORCH_PYTHON"] = str(fakes.python(tmp_path, "torch"))
    version = llem.ok("engine", "schema", "pytorch", "--compare").split()[1]
    said = said_of(llem, {"backend": "pytorch", "pytorch.zzzzzz": 1})
    assert f"the installed transformers {version} has no such parameter" in said
    assert llem.ok("engine", "schema", "pytorch", "--compare").startswith(f"transformers {version} against engine.json")


@pytest.mark.parametrize("fields, says", [
    ({"load.mode": "closed_loop", "load.size": 2}, "the file names no backend, so it is pytorch"),
    ({"vllm.engine.max_num_seqs": 2}, "does not apply to backend pytorch, which is the default where none is written"),
])
def test_a_backend_that_nobody_wrote_is_said_to_be_so(llem, fields, says):
    path = llem.folder / "s.yaml"
    write(path, {"model": "m", "n": 8, **fields})
    path.write_text(path.read_text().replace(' "backend": "sim",\n', ""))
    done = llem.run("config", "show", path)
    assert done.returncode == 2 and says in done.stderr, done.stderr
    assert says not in said_of(llem, {"backend": "pytorch", **fields})
