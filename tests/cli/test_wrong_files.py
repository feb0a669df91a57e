"""A file that is another thing than it should be: one reason, what it is, what to do, before anything starts."""

import json
import time

import pytest
import toy
from studies import write

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n"
PAGE = "\n<!DOCTYPE html><html><body>login</body></html>"
CONFIG = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100,
          "intermediate_size": 128}  # fmt: skip
TENSOR = b'{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}'
WEIGHTS = len(TENSOR).to_bytes(8, "little") + TENSOR + bytes(16)


@pytest.fixture
def check(llem, tmp_path):
    """check(fields): what is wrong, as `llem config check` says it."""

    def go(fields, code=2):
        path = write(tmp_path / "s.yaml", {"backend": "sim", "n": 1, **fields})
        done = llem.run("config", "check", path)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stderr

    return go


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (json.dumps([{"prompt": "a"}, {"prompt": "b"}], indent=1), "one JSON list of 2, and a data set has one JSON object a line"),
        (LFS, "a pointer of Git LFS"),
        (PAGE, "a web page"),
        ("PAR1xxxx", "a Parquet file"),
        ('{"messages": [{"role": "user", "content": "hi"}]}\n', "d.jsonl:1:1: error: chat messages (the form of OpenAI)"),
        ('{"conversations": [{"from": "human", "value": "hi"}]}\n', "d.jsonl:1:1: error: a conversation (the form of ShareGPT)"),
        ('{"prompt": "a"}\n{"prompt":"b\\u0000"}\n', "d.jsonl:2:13: error: U+0000"),
        ('{"prompt":"\\ud83d x"}\n', "d.jsonl:1:12: error: \\ud83d is half of a pair"),
        ('{"prompt":"\\ud83d\\ude00 \\udc00"}\n', "d.jsonl:1:25: error: \\udc00 is half of a pair"),
        (b'{"prompt":"caf\xe9"}\n', "d.jsonl:1:15: error: the byte 0xe9 is not UTF-8"),
        ('{"prompt": "ü", "prompt": "b"}\n', "error: a key is given twice"),
        ('{"prompt": hello}\n', "d.jsonl:1:12: error: a text stands in double quotes"),
        ('{"prompt": "a",}\n', "d.jsonl:1:16: error: a comma stands before the closing }"),
    ],
)
def test_a_data_set(check, tmp_path, text, says):
    (tmp_path / "d.jsonl").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert says in check({"dataset": "./d.jsonl"})


def test_a_pair_of_halves_is_a_character(check, tmp_path):
    (tmp_path / "d.jsonl").write_text('{"prompt": "\\ud83d\\ude00"}\n')
    check({"dataset": "./d.jsonl"}, code=0)


@pytest.mark.parametrize(
    ("text", "says"),
    [(LFS, "not a GGUF file but a pointer of Git LFS"),
     (PAGE, "not a GGUF file but a web page"), ("hello there", "does not begin with GGUF")],
)  # fmt: skip
def test_a_gguf_file(check, tmp_path, text, says):
    (tmp_path / "m.gguf").write_text(text)
    assert says in check({"backend": "llamacpp", "model": "./m.gguf"})


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("config.json", PAGE.encode(), "config.json: no configuration but a web page"),
        ("config.json", b'{"a": 1,}', "config.json:1:9: a comma stands before the closing }"),
        ("model.safetensors", LFS.encode(), "model.safetensors: no weights but a pointer of Git LFS"),
        ("model.safetensors", WEIGHTS[:-1], "fewer than its tensors: it is truncated"),
        ("model.safetensors", WEIGHTS[:30], "not a safetensors file, or truncated"),
        ("pytorch_model.bin", LFS.encode(), "pytorch_model.bin: no weights but a pointer of Git LFS"),
    ],
)
def test_a_model_s_folder(llem, check, tmp_path, name, content, says):
    folder = tmp_path / "hf"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    fields = {"backend": "toy", "model": "./hf"}
    toy.install(llem, descriptor=lambda tree: tree["model"].update(takes="folder"))
    check(fields, code=0)
    (folder / name).write_bytes(content)
    assert says in check(fields)


def test_fifty_thousand_keys_are_no_configuration(llem, tmp_path):
    (tmp_path / "vocab.json").write_text(json.dumps({f"\u0120token{i}": i for i in range(50000)}))
    began = time.monotonic()
    done = llem.run("config", "check", tmp_path / "vocab.json", timeout=120)
    assert done.returncode == 2 and "unknown field" in done.stderr and "more" in done.stderr.splitlines()[-1]
    assert time.monotonic() - began < 30  # a minute and more as long as each looked at the whole file again


def test_a_file_beyond_the_limit_is_not_read(llem, tmp_path):
    with (tmp_path / "d.jsonl").open("wb") as f:
        f.truncate(1 << 40)  # a terabyte that takes no room
    path = write(tmp_path / "s.yaml", {"backend": "sim", "dataset": "./d.jsonl", "n": 1})
    done = llem.run("config", "check", path, timeout=20)
    assert done.returncode == 2 and "larger than the limit of 268435456 bytes" in done.stderr


def test_a_limit_is_named_for_what_it_bounds(llem, tmp_path):
    (tmp_path / "s.yaml").write_text(f"model: m\nbackend: sim\nsweep: {{random_seed: {list(range(10001))}}}\n")
    done = llem.run("config", "check", tmp_path / "s.yaml")
    assert done.returncode == 2 and "sweep: random_seed has 10001 levels; the limit is 10000" in done.stderr
