"""llem config: what a file says, what it would run, what can be written in one."""

import hashlib
import json
import re

import jsonschema
import pytest
from support import GOLDEN, ROOT

STUDY = """\
model: smollm2-135m-instruct
backend: llamacpp
sweep:
  llamacpp.quantization: [null, q8_0]
  llamacpp.n_threads: [1, 2]
execution: {n_cycles: 2}
"""


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(STUDY)
    return path


def test_check_prints_the_plan(llem, study):
    lines = llem.run("config", "check", study).stdout.splitlines()
    assert lines[0].startswith("small: 4 cells × 2 cycles = 8 runs, shuffled (seed ")
    assert len(lines) == 6 and lines[5] == "  llamacpp: local (default)"
    assert lines[1].endswith("llamacpp.quantization=null llamacpp.n_threads=1")
    assert len({line.split()[0] for line in lines[1:5]}) == 4


def test_check_of_a_wrong_file(llem):
    done = llem.run("config", "check", GOLDEN / "config" / "typos.yaml")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("error:") == 6
    assert "typos.yaml:3:1: error: unknown field 'max_output_token'" in done.stderr


def test_check_of_no_file(llem, tmp_path):
    done = llem.run("config", "check", tmp_path / "none.yaml")
    assert done.returncode == 2
    assert "No such file" in done.stderr


def test_override_and_origin(llem, study):
    out = llem.ok("config", "show", study, "sweep.llamacpp.n_threads=4", "n=3", "precision=fp32")
    values = [line.split(None, 2) for line in out.splitlines() if line.startswith("n ")]
    assert values == [["n", "3", "# command line 'n=3'"]] * len(values)
    assert "command line 'sweep.llamacpp.n_threads=4'" in out
    # precision from the command line stands above the sweep over quantisation: two cells do the same work
    assert len(values) == 1


def test_environment_is_an_origin(llem, study):
    llem.env["LLEM_OUTPUT_DIR"] = "elsewhere"
    cells = json.loads(llem.ok("config", "show", "--json", study))
    assert len(cells) == 4
    for cell in cells:
        assert cell["config"]["output_dir"] == "elsewhere"
        assert cell["origins"]["output_dir"] == "environment LLEM_OUTPUT_DIR"


def test_fields(llem):
    assert "llamacpp.n_threads: an integer from 1 to 512 (threads), default 1" in llem.ok("config", "fields")
    assert llem.ok("config", "fields", "decoder").startswith("decoder.preset: one of deterministic")
    done = llem.run("config", "fields", "decodr.top_p")
    assert done.returncode == 2
    assert "did you mean 'decoder.top_p'?" in done.stderr


def test_unknown_action(llem):
    done = llem.run("config", "chekc", "x")
    assert done.returncode == 2
    assert "did you mean 'check'?" in done.stderr


@pytest.mark.parametrize("arguments", [["--study"], []])
def test_schema_is_a_schema(llem, arguments):
    schema = json.loads(llem.ok("config", "schema", *arguments))
    jsonschema.Draft202012Validator.check_schema(schema)


def test_schema_takes_what_llem_takes(llem, study):
    schema = jsonschema.Draft202012Validator(json.loads(llem.ok("config", "schema", "--study")))
    schema.validate(
        {
            "model": "m",
            "backend": "llamacpp",
            "sweep": {"llamacpp.quantization": [None, "q8_0"], "llamacpp.n_threads": 2},
            "execution": {"n_cycles": 2},
        }
    )
    resolved = jsonschema.Draft202012Validator(json.loads(llem.ok("config", "schema")))
    for cell in json.loads(llem.ok("config", "show", "--json", study)):
        resolved.validate(cell["config"])


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"model": "m", "n": 0},
        {"model": "m", "n": "many"},
        {"model": "m", "modle": "m"},
        {"model": "m", "backend": "tensorrt"},
        {"model": "m", "decoder": {"temperature": 3}},
        {"model": "m", "energy": {"modelled_watts_per_core": [1]}},
    ],
)
def test_schema_refuses(llem, wrong):
    schema = jsonschema.Draft202012Validator(json.loads(llem.ok("config", "schema")))
    assert not schema.is_valid(wrong)


def test_reference_names_every_field(llem):
    page = llem.ok("config", "reference")
    for line in llem.ok("config", "fields").splitlines():
        if line and not line.startswith(" "):
            assert f"| `{line.split(':')[0]}` |" in page


def test_faults_are_those_of_the_engine(llem):
    header = (ROOT / "engines" / "sim" / "sim.h").read_text()
    schema = json.loads(llem.ok("config", "schema"))
    field = schema["properties"]["sim"]["properties"]["fail"]
    assert re.findall(r"X\((\w+), \"", header) == field["enum"]


LLAMA = "model: smollm2-135m-instruct\nbackend: llamacpp\n"
SIM = "model: m\nbackend: sim\n"


@pytest.mark.parametrize(
    "text, said",
    [
        (SIM + "sim: {fail: crsh}\n", "3:13: error: sim.fail: expected one of none, load_error"),
        (SIM + "sim: {fail: crsh}\n", "did you mean crash?"),
        (LLAMA + "decoder: {ignore_eos: false, min_new_tokens: 3}\n", "3:46: error: decoder.min_new_tokens: 3 needs"),
        ("\ufeffmodel: m\nbackend: sim\nfoo: 1\n", "t.yaml:3:1: error: unknown field 'foo'"),
        ("model:m\nbackend: sim\n", "t.yaml:1:1: error: expected 'key: value', found no ': '"),
        (SIM + "n: 99999999999999999999\nfoo: 1\n", "t.yaml:4:1: error: unknown field 'foo'"),
        (SIM + "n: 99999999999999999999\nfoo: 1\n", "t.yaml:3:4: error: n: expected an integer from 1 to 100000"),
        (SIM + "name: ''\n", "3:7: error: name: expected a text, found an empty text"),
        (SIM + "dataset: /\n", "3:10: error: dataset: / is a folder"),
        (SIM + "energy: {sample_period_ms: 10ms}\n", "write the number alone: its unit is ms"),
        (SIM + "max_output_tokens: 128 tokens\n", "write the number alone: its unit is tokens"),
        (SIM + "decoder: {temperature: 10%}\n", "write the number alone: it has no unit"),
        (LLAMA + "llamacpp: {n_threads: 600}\n", "expected an integer from 1 to 512 (threads), found 600"),
        (LLAMA + "llamacpp: {n_ctx: 16777217}\n", "expected an integer from 1 to 16777216 (tokens), found 16777217"),
    ],
)
def test_wrong_values(llem, tmp_path, text, said):
    path = tmp_path / "t.yaml"
    path.write_text(text)
    done = llem.run("config", "check", path)
    assert done.returncode == 2
    assert said in done.stderr


def test_full_disk(llem, study):
    """The cause is that of the write, not of what came after it."""
    with open("/dev/full", "w") as full:
        done = llem.run("config", "check", study, stdout=full)
    assert done.returncode == 1
    assert "cannot write the output: No space left on device" in done.stderr


def test_byte_order_mark(llem, tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text("\ufeff" + SIM)
    (tmp_path / "d.jsonl").write_text('\ufeff{"prompt": "a"}\n')
    llem.ok("config", "check", path, "dataset=./d.jsonl", "n=1", cwd=tmp_path)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("config", "check", "--json", "t.yaml"), "llem config check: --json is an option of 'llem config show'"),
        (("config", "show", "--study", "t.yaml"), "--study is an option of 'llem config schema'"),
        (("engine", "list", "--case", "load"), "--case is an option of 'llem engine check'"),
        (("engine", "check", "--json", "sim"), "--json is an option of 'llem engine list'"),
        (("model", "list", "-f", "q8_0"), "-f is an option of 'llem model pull'"),
        (("engine", "check", "-t", "-5", "sim"), "-t -5: a whole number above 0 is wanted"),
        (("model", "list", "--form", "q8_0"), "--form is an option of 'llem model pull'"),
        (("model", "pull", "--json", "m"), "--json is an option of 'llem model list'"),
        (("run", "t.yaml", "-o", "x", "output_dir=y"), "--output and 'output_dir=y' exclude each other"),
        (("run", "t.yaml", "-c", "2", "execution.n_cycles=3"), "--cycles and 'execution.n_cycles=3' exclude"),
        (("run", "t.yaml", "-o", ""), "-o needs a folder name"),
    ],
)
def test_no_option_is_ignored(llem, tmp_path, arguments, said):
    (tmp_path / "t.yaml").write_text(SIM)
    done = llem.run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""


def test_batches_beyond_the_context_are_no_cells(llem, tmp_path):
    """libllama would cut them all to the same size."""
    path = tmp_path / "t.yaml"
    path.write_text(LLAMA + "llamacpp: {n_ctx: 1024}\nsweep: {llamacpp.n_batch: [512, 2048, 4096]}\n")
    done = llem.run("config", "check", path)
    assert done.returncode == 0
    assert "t: 1 cell × " in done.stdout
    assert "2 of 3 cells break a rule and are skipped" in done.stderr
    assert "n_batch=4096: llamacpp.n_batch: 4096 is more than the 1024 positions of the context" in done.stderr
    assert "t: 3 cells × " in llem.ok("config", "check", path, "allow_substitution=true")
    assert "t: 3 cells × " in llem.ok("config", "check", path, "llamacpp.n_ctx=4096")


MINE = {
    "format": 1, "name": "mine", "summary": "an engine of my own", "protocol": 1, "hash_version": 1, "remedy": "make mine",
    "command": ["{dir}/adapter"], "model": {"takes": "none"}, "modes": ["batch"], "where": ["local"],
    "options": [
        {"name": "depth", "type": "integer", "range": [1, 9], "default": 2, "unit": "layers", "help": "How deep it goes."},
        {"name": "colour", "type": "choice", "choices": ["red", "blue"], "help": "What it shines in."},
    ],
}


@pytest.fixture
def mine(llem, tmp_path):
    """An engine that nobody compiled in."""
    folder = tmp_path / "engines" / "mine"
    folder.mkdir(parents=True)
    (folder / "engine.json").write_text(json.dumps(MINE))
    llem.env["LLEM_ENGINES_PATH"] = str(folder.parent)
    return folder


def test_an_engine_of_a_stranger(llem, mine, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("model: m\nbackend: mine\nsweep: {mine.depth: [1, 2, 9]}\nexecution: {n_cycles: 1}\n")
    lines = llem.run("config", "check", path).stdout.splitlines()
    assert lines[0].startswith("mine: 3 cells × 1 cycle = 3 runs")
    assert [line.split()[1] for line in lines[1:4]] == ["mine.depth=1", "mine.depth=2", "mine.depth=9"]
    assert "mine.depth: an integer from 1 to 9 (layers), default 2" in llem.ok("config", "fields", "mine")
    schema = json.loads(llem.ok("config", "schema"))
    assert schema["properties"]["mine"]["properties"]["depth"]["maximum"] == 9
    assert "| `mine.colour` | one of red, blue |" in llem.ok("config", "reference")


@pytest.mark.parametrize("line, said", [
    ("mine: {depth: 10}", ":3:15: error: mine.depth: expected an integer from 1 to 9 (layers), found 10"),
    ("mine: {dept: 1}", "did you mean 'mine.depth'?"),
    ("mine: {colour: rot}", "mine.colour: expected one of red, blue"),
    ("sim: {threads: 1}", "sim.threads does not apply to backend mine"),
])
def test_wrong_words_to_a_stranger(llem, mine, tmp_path, line, said):
    path = tmp_path / "mine.yaml"
    path.write_text(f"model: m\nbackend: mine\n{line}\n")
    done = llem.run("config", "check", path)
    assert done.returncode == 2
    assert said in done.stderr


def hashes(llem, path):
    return [cell["config_hash"] for cell in json.loads(llem.ok("config", "show", "--json", path))]


def test_what_llem_learns_changes_no_hash(llem, study, mine, tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("model: m\nbackend: mine\nmine: {colour: red}\n")
    before = hashes(llem, own)
    more = [{"name": "extra", "type": "number", "default": 0.5, "help": "One more."}]
    (mine / "engine.json").write_text(json.dumps(MINE | {"options": more + MINE["options"]}))
    assert hashes(llem, own) == before
    (mine / "engine.json").write_text(json.dumps(MINE | {"hash_version": 2}))
    assert hashes(llem, own) != before
    ours = hashes(llem, study)
    del llem.env["LLEM_ENGINES_PATH"]
    assert hashes(llem, study) == ours


def test_what_is_hashed_can_be_hashed_by_anybody(llem, study):
    for cell in json.loads(llem.ok("config", "show", "--json", study)):
        text = json.dumps(cell["hashed"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(text.encode()).hexdigest()[:16] == cell["config_hash"]
        prompts = [json.loads(line)["prompt"] for line in (ROOT / "data" / "llem-mix.jsonl").read_text().splitlines()
                   if not line.startswith('{"_')]
        text = json.dumps(prompts, separators=(",", ":"), ensure_ascii=False)
        assert cell["hashed"]["fields"]["dataset"]["prompts"] == hashlib.sha256(text.encode()).hexdigest()


def test_cells_that_are_not_run_are_named_with_the_reason_once(llem, tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text(SIM + "sweep: {sim.threads: [1, 1, 2], decoder.top_p: [0.5, 0.9]}\nenergy: {backend: nvml}\n")
    done = llem.run("plan", path)
    assert done.returncode == 0, done.stderr
    assert "4 cells repeat the work of an earlier one: run once" in done.stderr
    assert "= sim.threads=1 decoder.top_p=0.5: sim.threads=1 stands twice\n" in done.stderr
    reason = "decoder.top_p=0.9 comes to the same work as decoder.top_p=0.5"
    assert done.stderr.count(reason) == 2 and f"sim.threads=1 stands twice; {reason}" in done.stderr
    repeated = json.loads(llem.ok("plan", path, "--json"))["repeated"]
    assert {"label": "sim.threads=2 decoder.top_p=0.9", "reason": reason} in repeated and len(repeated) == 4
    line = path.read_text().splitlines().index("energy: {backend: nvml}") + 1
    assert f"\n{line:5} | energy: {{backend: nvml}}\n      |                   ^~~~\n" in done.stderr  # of this machine, with its place
