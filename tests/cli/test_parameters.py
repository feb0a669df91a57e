"""Parameters of an engine that its engine.json does not have: they are those that the installed engine reports, and are
checked by name, type and choices before anything starts."""

import json
import re
import sys

import pytest

import toy
from studies import check_records, the_study, write

TOY = {"backend": "toy", "model": "none", "n": 1, "max_input_tokens": 1000}
FURTHER = [
    {"name": "kind", "type": "string", "default": "fast", "choices": ["fast", "slow"], "help": "how"},
    {"name": "level", "type": "integer", "default": 3, "min": 1, "max": 9},
    {"name": "block", "type": "integer", "default": None, "choices": [8, 16, 32]},
    {"name": "share", "type": "number", "default": 0.5, "min": 0, "max": 1},
    {"name": "compile", "type": "mapping", "default": {}},
    {"name": "sizes", "type": "list", "default": []},
    {"name": "whatever", "type": "any", "default": None},
    {"name": "seed", "type": "integer", "default": 0},
    {"name": "deep.level", "type": "integer", "default": 1},
]


def adapter(further=FURTHER, version="1"):
    """The adapter of the page, whose schema has more; what it is given stands in its log."""
    program = toy.block("python")
    words = {"min": "low", "max": "high"}
    rows = [{words.get(key, key): value for key, value in row.items()} for row in further]
    for old, new in (
        ('help="time of one token")]', f'help="time of one token"), *(Option(**row) for row in {rows!r})]'),
        ('"engine_version": "1"', f'"engine_version": "{version}"'),
        ("        self.token_us =", '        print("GIVEN", json.dumps(load.options), flush=True)\n        self.token_us ='),
        ("import time\n", "import json\nimport time\n"),
    ):
        assert old in program, old
        program = program.replace(old, new)
    return program


def install(llem, *, further=FURTHER, version="1", **members):
    def change(tree):
        tree |= {"title": "Toy", "pass_through": {}, "owned": [{"name": "seed", "note": "random_seed"}], **members}

    return toy.install(llem, program=adapter(further, version), descriptor=change)


def check(llem, fields, *overrides):
    return llem.run("config", "check", write(llem.folder / "c.yaml", {**TOY, **fields}), *overrides)


def test_without_its_schema_they_are_errors_that_say_how_to_get_it(llem):
    install(llem)
    done = check(llem, {"toy.kind": "slow"})
    assert done.returncode == 2
    assert re.search(r"c\.yaml:\d+:\d+: error: unknown field 'toy\.kind'", done.stderr)
    assert "`llem engine schema toy` asks the installed Toy for its parameters" in done.stderr
    shown = llem.ok("engine", "schema", "toy")
    assert re.search(r'^kind +passed on +"fast" +string "fast"\|"slow"', shown, re.M)
    assert re.search(r"^seed .*set by llem: random_seed", shown, re.M)
    assert check(llem, {"toy.kind": "slow"}).returncode == 0


@pytest.mark.parametrize("fields, says", [
    ({"toy.kynd": "slow"}, "unknown field 'toy.kynd'.*did you mean 'toy.kind'"),
    ({"toy.zzzzzzzz": 1}, "unknown field 'toy.zzzzzzzz'.*the installed Toy 1 has no such parameter"),
    ({"toy.kind": "quick"}, 'toy.kind: expected one of fast, slow, found "quick"'),
    ({"toy.level": 10}, "toy.level: expected an integer from 1 to 9, found 10"),
    ({"toy.level": "high"}, 'toy.level: expected an integer from 1 to 9, found "high"'),
    ({"toy.block": 12}, "toy.block: expected one of 8, 16, 32, found 12"),
    ({"toy.compile": 3}, "toy.compile: expected a mapping, found 3"),
    ({"toy.sizes": 3}, "toy.sizes: expected a list, found 3"),
    ({"toy.seed": 3}, r"unknown field 'toy.seed'.*llem sets this argument of Toy itself \(random_seed\)"),
    ({"toy.deep.lvl": 3}, "unknown field 'toy.deep.lvl'.*did you mean 'toy.deep.level'"),
    ({"passthrough_kwargs": {"levl": 3}}, "unknown field 'toy.levl'.*did you mean 'toy.level'"),
    ({"passthrough_kwargs": {"level": 10}}, "toy.level: expected an integer from 1 to 9, found 10"),
    ({"passthrough_kwargs": {"level": 3}, "toy.level": 4}, "toy.level is given twice"),
    ({"passthrough_kwargs": {"n": 3}}, "passthrough_kwargs: 'n' has a field of its own"),
])
def test_what_is_wrong_is_said_where_it_stands(llem, fields, says):
    install(llem)
    llem.ok("engine", "schema", "toy")
    done = check(llem, fields)
    assert done.returncode == 2 and re.search(says, done.stderr, re.S), done.stderr
    assert re.search(r"c\.yaml:\d+:\d+: error: ", done.stderr)


def test_they_reach_the_engine_and_the_hash(llem):
    """A plan asks nobody; what is given is in the result with the rest of what the engine resolved."""
    install(llem)
    llem.ok("engine", "schema", "toy")
    fields = {"toy.kind": "slow", "toy.compile": {"mode": 3}, "passthrough_kwargs": {"sizes": [1, 2], "whatever": "x"}}
    llem.ok("run", write(llem.folder / "s.yaml", {**TOY, **fields}), "-o", llem.folder / "results", timeout=120)
    study = the_study(llem.folder / "results")
    check_records(llem, study)
    given = next(line for line in (study.runs[0] / "engine.log").read_text().splitlines() if line.startswith("GIVEN"))
    options = {"kind": "slow", "compile": {"mode": 3}, "sizes": [1, 2], "whatever": "x"}
    assert options.items() <= json.loads(given[6:]).items()
    record = study.result()
    assert record["config"]["toy"] == {"token_us": 1000, **options}
    assert {name: record["engine"]["resolved"][name] for name in (*options, "level")} == {**options, "level": 3}
    assert record["origins"]["toy.sizes"].endswith(", written as passthrough_kwargs.sizes")
    hashed = json.loads((study.runs[0] / "config.json").read_text())["hashed"]["fields"]
    assert {name: value for name, value in hashed.items() if name.startswith("toy.")} == {
        f"toy.{name}": value for name, value in options.items()}

    def hash_of(**more):
        (cell,) = json.loads(llem.ok("config", "show", "--json", write(llem.folder / "c.yaml", {**TOY, **more})))
        return cell["config_hash"]

    assert hash_of(**{"toy.level": 4}) == hash_of(passthrough_kwargs={"level": 4}) != hash_of(**{"toy.level": 5})
    assert hash_of() == hash_of(**{"toy.level": 3, "toy.kind": "fast", "toy.compile": {}})  # the installed engine's defaults
    assert hash_of() != hash_of(**{"toy.block": 8})


RULES = [
    {"kind": "needs", "option": "kind", "is": "slow", "other": "level", "other_is": [None, 9], "installed": True, "why": "slow is 9"},
    {"kind": "at_least", "option": "token_us", "other": "level", "unless": {"allow_substitution": True}, "installed": True},
    {"kind": "excludes", "option": "gone", "other": "level", "installed": True},
    {"kind": "at_least", "option": "kind", "other": "level", "installed": True},  # of an engine of which it was a number
]


def test_rules_of_what_only_the_installed_engine_has(llem):
    arguments = [{"name": name} for name in ("kind", "level", "gone")]
    install(llem, pass_through={"arguments": arguments}, rules=RULES)
    assert check(llem, {}).returncode == 0
    llem.ok("engine", "schema", "toy")
    assert check(llem, {"toy.kind": "slow", "toy.level": 9}).returncode == 0
    assert check(llem, {"toy.kind": "slow"}).returncode == 0
    done = check(llem, {"toy.kind": "slow", "toy.level": 8})
    assert done.returncode == 2 and "toy.kind: slow needs toy.level to be not set or 9; it is 8" in done.stderr
    assert "= slow is 9" in done.stderr
    done = check(llem, {"toy.token_us": 1, "toy.level": 2})
    assert done.returncode == 2 and "toy.token_us must be at least toy.level; they are 1 and 2" in done.stderr
    assert check(llem, {"toy.token_us": 1, "toy.level": 2, "allow_substitution": True}).returncode == 0


@pytest.mark.parametrize("rule, says", [
    ({"option": "kind", "installed": False}, "there is no option or shared field 'kind'"),
    ({"option": "kynd", "installed": True}, "there is no option or shared field 'kynd'"),
])
def test_a_rule_of_what_is_nowhere_is_refused(llem, rule, says):
    install(llem, pass_through={"arguments": [{"name": "kind"}]}, rules=[{"kind": "present", "other": "token_us", **rule}])
    done = check(llem, {})
    assert done.returncode == 2 and says in done.stderr


def test_batches_are_not_divided_where_load_says_how_large_they_are(llem):
    fields = {"backend": "pytorch", "model": "m", "n": 8, "pytorch.max_batch_tokens": 64, "load.size": 4}
    for mode, code in {"batch": 2, "offline": 0}.items():
        done = llem.run("config", "show", write(llem.folder / "p.yaml", {**fields, "load.mode": mode}))
        assert done.returncode == code, done.stderr
        if code:
            assert "pytorch.max_batch_tokens: 64 needs load.mode to be other than batch; it is batch" in done.stderr
            assert "it divides batches, and load says how many requests each has" in done.stderr


def test_the_installed_engine_knows_its_own_defaults_better(llem):
    """Of another version than the one that engine.json was held to."""
    def change(tree):
        row = {"name": "level", "type": "integer", "engine_default": "4", "help": "a level"}
        tree |= {"pass_through": {}, "options": [*tree["options"], row]}

    toy.install(llem, program=adapter(), descriptor=change)

    def hash_of(**more):
        (cell,) = json.loads(llem.ok("config", "show", "--json", write(llem.folder / "c.yaml", {**TOY, **more})))
        return cell["config_hash"]

    plain = hash_of()
    assert hash_of(**{"toy.level": 4}) == plain != hash_of(**{"toy.level": 3})
    llem.ok("engine", "schema", "toy")
    assert hash_of() == plain  # what is not written is as it was
    assert hash_of(**{"toy.level": 3}) == plain != hash_of(**{"toy.level": 4})


def test_what_changes_no_work_is_not_hashed(llem):
    install(llem, pass_through={"arguments": [{"name": "kind", "hashed": False}]})
    llem.ok("engine", "schema", "toy")
    shown = json.loads(llem.ok("config", "show", "--json", write(llem.folder / "c.yaml", {**TOY, "toy.kind": "slow"})))
    plain = json.loads(llem.ok("config", "show", "--json", write(llem.folder / "d.yaml", TOY)))
    assert shown[0]["config"]["toy"]["kind"] == "slow"
    assert shown[0]["config_hash"] == plain[0]["config_hash"]


def test_they_are_axes(llem):
    install(llem)
    llem.ok("engine", "schema", "toy")
    cells = json.loads(llem.ok("config", "show", "--json", write(
        llem.folder / "c.yaml", {**TOY, "sweep": {"toy.level": [1, 2], "toy.kind": ["fast", "slow"]}})))
    assert sorted((cell["config"]["toy"]["level"], cell["config"]["toy"]["kind"]) for cell in cells) == [
        (1, "fast"), (1, "slow"), (2, "fast"), (2, "slow")]


def test_another_engine_of_the_name_is_asked_anew(llem):
    """What was said holds for the same program, descriptor and packages alone."""
    install(llem)
    llem.ok("engine", "schema", "toy")
    assert check(llem, {"toy.kind": "slow"}).returncode == 0
    install(llem, further=[], version="2")
    done = check(llem, {"toy.kind": "slow"})
    assert done.returncode == 2 and "llem engine schema toy" in done.stderr
    llem.ok("engine", "schema", "toy")
    assert "the installed Toy 2 has no such parameter" in check(llem, {"toy.kind": "slow"}).stderr


def rewrite(path, text):
    """As an installer writes a file anew; another length, for the clock of a file system may stand still between two writes."""
    path.write_text(path.read_text() + text)


@pytest.fixture
def packaged(llem):
    """The toy with a module beside its adapter, on an interpreter that finds a package of its own elsewhere."""
    library = llem.folder / "library" / "toylib"
    (library.parent / "toylib-1.dist-info").mkdir(parents=True)
    library.mkdir()
    (library / "__init__.py").write_text("")
    python = llem.folder / "python-of-toy"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{library.parent}:$PYTHONPATH" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    llem.env["LLEM_TOY_PYTHON"] = str(python)
    install(llem, python={"least": "3.9", "variable": "LLEM_TOY_PYTHON", "import": "toylib"},
            command=["{python}", "{dir}/toy_adapter.py"])
    inner = llem.folder / "engines" / "toy" / "parts" / "kinds.py"
    inner.parent.mkdir()
    inner.write_text("")
    return {"module": lambda: rewrite(inner, "# more"), "package": lambda: rewrite(library / "__init__.py", "# more"),
            "version": lambda: (library.parent / "toylib-1.dist-info").rename(library.parent / "toylib-2.dist-info"),
            "interpreter": lambda: rewrite(python, "# more")}


@pytest.mark.parametrize("change", ["module", "package", "version", "interpreter"])
def test_what_was_upgraded_is_not_judged_by_what_was_said_before(llem, packaged, change):
    llem.ok("engine", "schema", "toy")
    for _ in range(2):  # the engine's start itself changes nothing
        assert check(llem, {"toy.kind": "slow"}).returncode == 0
        llem.ok("engine", "schema", "toy")
    packaged[change]()
    done = check(llem, {"toy.kind": "slow"})
    assert done.returncode == 2 and "llem engine schema toy" in done.stderr
    llem.ok("engine", "schema", "toy")
    assert check(llem, {"toy.kind": "slow"}).returncode == 0


def test_bounds_that_the_engines_own_default_lies_outside_of_are_none(llem):
    """-1 is how many an engine says that it takes as many as it likes."""
    rows = [{"name": "limit", "type": "integer", "default": -1, "min": 0, "max": 9}, *FURTHER]
    install(llem, further=rows)
    assert re.search(r"^limit +passed on +-1 +integer$", llem.ok("engine", "schema", "toy"), re.M)
    assert check(llem, {"toy.limit": 100}).returncode == 0
    assert check(llem, {"toy.level": 10}).returncode == 2


def test_a_study_that_starts_the_engine_makes_them_known(llem):
    """The engine is started before a study anyway, and asked by the same message."""
    install(llem)
    llem.ok("run", write(llem.folder / "s.yaml", TOY), "-o", llem.folder / "results", timeout=120)
    assert check(llem, {"toy.kind": "slow"}).returncode == 0


@pytest.mark.parametrize("damage", [
    lambda text: text[: len(text) // 2],
    lambda text: text.replace('"fast"', '"past"'),
    lambda text: text.replace('"format":1', '"format":2'),
    lambda text: "",
])
def test_a_damaged_schema_is_none(llem, damage):
    install(llem)
    llem.ok("engine", "schema", "toy")
    (kept,) = (llem.folder / "cache" / "llem" / "schemas").iterdir()
    kept.write_text(damage(kept.read_text()))
    done = check(llem, {"toy.kind": "slow"})
    assert done.returncode == 2
    assert "what Toy said that it takes cannot be read" in done.stderr and "unknown field 'toy.kind'" in done.stderr
    llem.ok("engine", "schema", "toy")
    assert check(llem, {"toy.kind": "slow"}).returncode == 0


def test_an_engine_whose_options_are_all_in_engine_json_takes_no_other(llem):
    toy.install(llem, program=adapter())
    shown = llem.ok("engine", "schema", "toy")
    assert re.search(r"^kind +not taken", shown, re.M)
    done = check(llem, {"toy.kind": "slow"})
    assert done.returncode == 2 and "unknown field 'toy.kind'" in done.stderr and "engine schema" not in done.stderr
    done = check(llem, {"passthrough_kwargs": {"kind": "slow"}})
    assert done.returncode == 2 and "no engine here takes further arguments" in done.stderr


def test_the_report_says_what_is_new_and_gone(llem):
    install(llem, pass_through={"arguments": [{"name": "kind"}, {"name": "left", "type": "int"}]})
    report = json.loads(llem.ok("engine", "schema", "toy", "--compare", "--json"))
    assert [row["name"] for row in report["gone"]] == ["left"]
    assert {row["name"] for row in report["new"]} == {row["name"] for row in FURTHER} - {"kind", "seed"}
    assert report["other"] == []
    text = llem.ok("engine", "schema", "toy", "--compare")
    assert "  left: int\n" in text and "  block: integer, one of 8, 16, 32\n" in text
    install(llem, further=[])
    assert "Nothing is new or gone." in llem.ok("engine", "schema", "toy", "--compare")


def test_schema_as_json(llem):
    install(llem)
    said = json.loads(llem.ok("engine", "schema", "toy", "--json"))
    rows = {row["name"]: row for row in said["fields"]}
    assert (said["backend"], said["version"]) == ("toy", "1")
    assert (rows["token_us"]["in_llem"], rows["level"]["in_llem"], rows["seed"]["in_llem"]) == (
        "option", "passed on", "set by llem")
    assert (rows["level"]["min"], rows["level"]["max"], rows["level"]["default"]) == (1, 9, 3)


def test_a_variable_that_is_heeded_no_more_is_warned_of(llem):
    install(llem, unheeded_env=[{"name": "TOY_KERNEL", "since": "0.9", "text": "write toy.kernel"}])
    assert "TOY_KERNEL" not in check(llem, {}).stderr
    llem.env["TOY_KERNEL"] = "fast"
    done = check(llem, {})
    assert done.returncode == 0
    assert "warning: TOY_KERNEL is set, and Toy since 0.9 does not look at it" in done.stderr
    assert "= write toy.kernel" in done.stderr


VLLM = {"backend": "vllm", "model": "Qwen/Qwen3-0.6B", "n": 1}


def check_vllm(llem, fields, *overrides):
    """What stands in the file alone: the engine need not be here."""
    return llem.run("config", "show", "--json", write(llem.folder / "v.yaml", {**VLLM, **fields}), *overrides)


def test_swap_space_of_vllm(llem):
    done = check_vllm(llem, {"vllm.engine.swap_space": 4})
    assert done.returncode == 2
    assert re.search(r"v\.yaml:\d+:\d+: error: unknown field 'vllm\.engine\.swap_space'", done.stderr)
    assert "it had no effect in the V1 engine" in done.stderr and "cpu_offload_gb" in done.stderr
    page = llem.ok("engine", "reference")
    assert "| `vllm.engine.swap_space` | 0.18.0 |" in page
    assert "| `vllm.engine.device` | 0.10.0 |" in page and "| `VLLM_ATTENTION_BACKEND` (environment) | 0.15.0 |" in page
    assert "| by " not in page  # each is known


def test_speculative_model_of_vllm(llem):
    """vLLM has a name for it that means the same: it is taken, and the origin says what was written."""
    done = check_vllm(llem, {"passthrough_kwargs": {"speculative_model": "small"}})
    assert done.returncode == 0 and "vllm.engine.speculative_model is called vllm.engine.spec_model now" in done.stderr
    (cell,) = json.loads(done.stdout)
    assert cell["config"]["vllm"]["engine"]["spec_model"] == "small"
    assert cell["origins"]["vllm.engine.spec_model"].endswith("written as passthrough_kwargs.speculative_model")


@pytest.mark.parametrize("fields, precision, options", [
    ({"vllm.engine.dtype": "bfloat16"}, "bf16", {}),
    ({"vllm.engine.dtype": "half"}, "fp16", {}),
    ({"vllm.dtype": "float32"}, "fp32", {}),
    ({"vllm.engine.dtype": "bfloat16", "precision": "bf16"}, "bf16", {}),
    ({"vllm.engine.dtype": "auto"}, None, {"dtype": "auto"}),
])
def test_the_engine_s_own_word_for_precision(llem, fields, precision, options):
    (cell,) = json.loads(check_vllm(llem, fields).stdout)
    assert cell["config"].get("precision") == precision
    assert {name: cell["config"]["vllm"]["engine"].get(name) for name in options} == options
    if not precision:
        return
    (other,) = json.loads(check_vllm(llem, {"precision": precision}).stdout)
    assert other["config_hash"] == cell["config_hash"]
    assert re.search(r"v\.yaml:\d+:\d+, written as vllm.engine.dtype: \w+$", cell["origins"]["precision"])


def test_both_and_different_is_an_error_at_its_line(llem):
    done = check_vllm(llem, {"vllm.engine.dtype": "float16", "precision": "bf16"})
    assert done.returncode == 2
    assert re.search(r"v\.yaml:\d+:\d+: error: vllm\.engine\.dtype: float16 and precision: bf16 exclude each other",
                     done.stderr)


def test_torch_dtype_is_precision(llem):
    done = llem.run("config", "show", "--json", write(llem.folder / "p.yaml", {
        "backend": "pytorch", "model": "m", "n": 1, "pytorch.torch_dtype": "float16"}))
    (cell,) = json.loads(done.stdout)
    assert cell["config"]["precision"] == "fp16" and "pytorch.torch_dtype is called pytorch.dtype now" in done.stderr
    assert "has no effect" not in done.stderr


@pytest.mark.parametrize("fields, says", [
    ({"attention_backend": "FLASH_ATTN"}, "FLASH_ATTN needs precision to be fp16 or bf16"),
    ({"attention_backend": "FLEX_ATTENTION", "kv_cache_dtype": "fp8"}, "it reads no quantised cache"),
    ({"attention_backend": "FLASHINFER", "kv_cache_dtype": "int8_per_token_head"}, "it reads no cache of another type"),
    ({"attention_backend": "CPU_ATTN", "kv_cache_dtype": "nvfp4"}, "it reads no cache of another type"),
    ({"max_model_len": 1000, "long_prefill_token_threshold": 2000}, "max_model_len must be at least"),
    ({"max_num_batched_tokens": 4, "max_num_seqs": 8}, "max_num_batched_tokens must be at least vllm.engine.max_num_seqs"),
    ({"max_num_batched_tokens": 1000, "max_model_len": 2000, "enable_chunked_prefill": False},
     "without chunked prefill a step computes a whole prompt"),
])
def test_rules_between_parameters_of_vllm(llem, fields, says):
    precision = "fp32" if fields.get("attention_backend") == "FLASH_ATTN" else "bf16"
    done = check_vllm(llem, {"precision": precision, **{f"vllm.engine.{name}": value for name, value in fields.items()}})
    assert done.returncode == 2 and says in done.stderr, done.stderr
