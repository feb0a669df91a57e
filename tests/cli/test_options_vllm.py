"""vLLM's adapter on a stand-in for vLLM: every option reaches the engine or is refused, and what comes back is believed only
where the engine's own count agrees."""

import json
import os
import signal
import subprocess
import sys
import time

import adapters
import fakes
import pytest
from studies import metric
from support import ROOT
from test_options_act import QUICK, REFUSED, Runs, judge, options_of, prompts

FOLDER = ROOT / "engines" / "vllm"
WARM = {"decoder.temperature": 0.5}
TEXTS = ["a b", "c d e", "f g h i", "j"]


@pytest.fixture
def runs(llem, tmp_path):
    """Runs of four prompts on the stand-in."""
    llem.env["LLEM_VLLM_PYTHON"] = str(fakes.python(tmp_path, "vllm"))
    folder = str(fakes.model(tmp_path, tokenizer=True))
    fields = {**QUICK, "backend": "vllm", "model": folder, "precision": "fp32", **prompts(tmp_path, *TEXTS)}
    return Runs(llem, tmp_path, fields)


@pytest.fixture
def noted(runs, tmp_path):
    """noted(fields): what vLLM was given, name → list of values, or REFUSED and the words."""

    def go(fields):
        calls = tmp_path / f"calls{runs.n}"
        calls.mkdir()
        done, study = runs.one(fields, env={"LLEM_TEST_RECORDING": str(calls)})
        if done.returncode:
            assert done.returncode == 2 or study.states() == ["failed"], done.stderr
            return {REFUSED: [study.error()["message"] if study and study.runs else done.stderr]}
        return fakes.noted(calls)

    return go


SPECIAL = {
    "usage": (["server", "offline"], "usage_context", {}, []),
    "n_threads": ([1, None], "threads_bind", {}, []),
    "sampling.n": ([1, 2], "sampling.n", {}, [2]),
    "engine.attention_backend": (["CPU_ATTN", "no_such"], "engine.attention_backend", {}, ["no_such"]),
    "engine.speculative_config.method": (["suffix", "ngram"], "engine.speculative_config", {}, ["ngram"]),
    "engine.kv_cache_dtype": (["auto", "fp8", "nvfp4"], "engine.kv_cache_dtype", {"precision": "bf16"}, []),
    # the file has fp32 for precision; other types exclude it
    "engine.dtype": (["float32", "auto", "float16", "bfloat16"], "engine.dtype", {}, ["auto", "float16", "bfloat16"]),
    "engine.max_model_len": ([64, 128], "engine.max_model_len", {}, []),
}


def case_of(option):
    """Values by the type of the row; what they come to bears the option's name."""
    low = (option.get("range") or [0, None])[0] or 0
    values = {"boolean": [False, True], "integer": [low, low + 1], "number": [low, low + 0.5], "string": ["one", "two"],
              "mapping": [{"a": 1}, {"b": 2}], "list": [["a"], ["b"]], "integers": [[1], [2, 4]]}.get(option["type"])
    if option["type"] == "choice":
        values = [c if isinstance(c, str) else c["name"] for c in option["choices"]]
        values = values[:2] + values[2:][-1:]
    name = ".".join(option["name"].split(".")[:2])  # of a mapping the engine is given the whole
    return values, name, {}, []


def test_every_option_has_a_case(build_dir):
    names = {option["name"] for option in options_of(build_dir, "vllm")}
    assert set(SPECIAL) <= names
    assert all(name in ("usage", "n_threads") or name.split(".")[0] in ("engine", "sampling") for name in names)


def pytest_generate_tests(metafunc):
    if "option" in metafunc.fixturenames:
        rows = json.loads((ROOT / "engines" / "vllm" / "engine.json").read_text())["options"]
        metafunc.parametrize("option", rows, ids=[row["name"] for row in rows])


def test_an_option_reaches_the_engine(noted, option):
    judge(noted, f"vllm.{option['name']}", SPECIAL.get(option["name"]) or case_of(option))


@pytest.mark.parametrize("fields, detokenize", [({}, "False"), ({"vllm.sampling.detokenize": True}, "True")], ids=["ours", "asked for"])
def test_text_is_made_where_it_was_asked_for(runs, noted, fields, detokenize):
    """What was written is vLLM's own default, and not ours."""
    runs.llem.ok("engine", "schema", "vllm")
    assert set(noted(fields)["sampling.detokenize"]) == {detokenize}


@pytest.mark.parametrize("fields, ours", [({}, True), ({"vllm.engine.gpu_memory_utilization": 0.92}, False)], ids=["unwritten", "written"])
def test_a_part_of_a_gpu_acts_on_the_cpu_where_it_was_written(runs, noted, fields, ours):
    """Also where it is the engine's default: without it the cache has the size that the requests need."""
    runs.llem.ok("engine", "schema", "vllm")
    (size,) = set(noted(fields)["engine.kv_cache_memory_bytes"])
    assert (size != "None") is ours
    resolved = runs.one(fields)[1].result()["engine"]["resolved"]["engine"]
    assert resolved.get("gpu_memory_utilization") == (None if ours else 0.92)


GENERAL = {
    "precision": (["fp32", "fp16", "bf16"], "engine.dtype", {}, []),
    "max_input_tokens": ([4, 400], "reach", {}, []),
    "max_output_tokens": ([3, 5], "sampling.max_tokens", {}, []),
    "random_seed": ([1, 2], "engine.seed", {}, []),
    "decoder.preset": (["deterministic", "standard", "creative", "factual"], "sampling.temperature", {}, []),
    "decoder.temperature": ([0, 0.5, 0.7], "sampling.temperature", {}, []),
    "decoder.do_sample": ([False, True], "sampling.seed", WARM, [False]),
    "decoder.top_k": ([0, 10, 20], "sampling.top_k", WARM, []),
    "decoder.top_p": ([1, 0.5, 0.7], "sampling.top_p", WARM, []),
    "decoder.min_p": ([0, 0.1, 0.2], "sampling.min_p", WARM, []),
    "decoder.repetition_penalty": ([1, 1.1, 1.2], "sampling.repetition_penalty", {}, []),
    "decoder.ignore_eos": ([True, False], "sampling.ignore_eos", {}, []),
    "decoder.min_new_tokens": ([0, 2], "sampling.min_tokens", {"decoder.ignore_eos": False}, []),
}


def test_every_general_field_has_a_case(llem):
    decoder = json.loads(llem.ok("config", "schema"))["properties"]["decoder"]["properties"]
    assert {f"decoder.{name}" for name in decoder} == {name for name in GENERAL if name.startswith("decoder.")}


@pytest.mark.parametrize("field", [name for name in GENERAL if name != "max_input_tokens"])
def test_a_general_field_reaches_the_engine(noted, field):
    judge(noted, field, GENERAL[field])


def test_the_longest_input_bounds_the_prompts(runs):
    short, long = (runs.one({"max_input_tokens": most})[1].result()["workload"]["input_tokens"] for most in (2, 8))
    assert (max(short), max(long)) == (2, 4)


# --- What comes back ------------------------------------------------------------------------------------------------------


def faked(runs, words, fields=None):
    return runs.one(fields or {}, env={"LLEM_FAKE_VLLM": words})


def test_chunks_of_several_tokens_are_counted_by_their_tokens(runs):
    done, study = faked(runs, "merged", {"max_output_tokens": 9})
    assert done.returncode == 0, done.stderr
    record = study.result()
    assert metric(record, "tokens_out")["value"] == 4 * 9
    assert any(flag.startswith("merged") for flag in record["flags"])


def test_a_count_that_is_not_the_engines_is_an_error(runs):
    done, study = faked(runs, "miscounts")
    assert done.returncode == 1
    assert "3 tokens came out, the engine counted 4" in study.error()["message"]


def test_an_engine_without_statistics_still_runs(runs):
    done, study = faked(runs, "no_stats")
    assert done.returncode == 0, done.stderr


def test_the_engine_says_when_it_began(runs):
    done, study = faked(runs, "")
    assert done.returncode == 0, done.stderr
    assert metric(study.result(), "prefill_latency_mean_s")["status"] == "measured"


@pytest.mark.parametrize("words", ["compiles", "gpu compiles", ""])
def test_what_was_compiled_stands_apart_from_the_load(runs, words):
    done, study = faked(runs, words)
    assert done.returncode == 0, done.stderr
    record = study.result()
    if words:
        assert metric(record, "compile_s")["value"] == pytest.approx(0.001)
    else:
        assert "does not say when it compiled" in metric(record, "compile_s")["reason"]


def test_memory_is_the_most_of_any_rank(runs, build_dir):
    runs.llem.env["LLEM_NVML_LIBRARY"] = str(build_dir / "lib" / "libllem-nvml-sim.so")
    done, study = faked(runs, "gpu")
    assert done.returncode == 0, done.stderr
    record = study.result()
    assert metric(record, "peak_memory_mb")["value"] == 0.005
    assert metric(record, "weights_mb")["value"] == 0.002
    assert metric(record, "kv_cache_mb")["value"] == 0.001
    assert metric(record, "kv_cache_used_mb")["value"] == 0.0005


def test_memory_of_the_cpu_is_absent_with_the_reason(runs):
    record = faked(runs, "")[1].result()
    peak = metric(record, "peak_memory_mb")
    assert peak["status"] == "absent" and "no account of its memory on the CPU" in peak["reason"]


def test_what_the_engine_makes_otherwise_is_a_substitution(runs):
    fields = {"vllm.engine.async_scheduling": True}
    done, study = faked(runs, "synchronous", fields)
    assert done.returncode == 1
    assert "async_scheduling: 'True' was asked for, 'False' would be used" in study.error()["message"]
    done, study = faked(runs, "synchronous", {**fields, "allow_substitution": True})
    assert done.returncode == 0, done.stderr
    done, study = faked(runs, "float32", {"precision": "bf16"})
    assert done.returncode == 1
    assert "precision: 'bfloat16' was asked for, 'float32' would be used" in study.error()["message"]


def test_threads_have_cpus_of_their_own(runs):
    """Those that the adapter may use, as many as were asked for; what came of it is in the record."""
    cpus = os.sched_getaffinity(0)
    done, study = faked(runs, "", {"vllm.n_threads": len(cpus)})
    assert done.returncode == 0, done.stderr
    engine = study.result()["engine"]
    assert engine["resolved"]["n_threads"] == len(cpus)
    assert set(map(int, engine["facts"]["threads_bind"].split(","))) == cpus
    assert faked(runs, "", {})[1].result()["engine"]["resolved"]["n_threads"] == 2
    os.sched_setaffinity(0, {min(cpus)})
    try:
        done, study = faked(runs, "", {"vllm.n_threads": 2})
    finally:
        os.sched_setaffinity(0, cpus)
    assert done.returncode == 1 and "this process may use 1 of them" in study.error()["message"]


@pytest.mark.parametrize("words, fields, variable, said", [
    ("gpu", {}, None, "this vLLM is built for a GPU"),
    ("two_threads", {}, None, "n_threads: '1' was asked for, '2' would be used"),
    ("", {}, "0", "'n_threads' 1, and VLLM_CPU_OMP_THREADS_BIND is 0"),
    ("", {"vllm.engine.tensor_parallel_size": 4096}, None, "for each of 4096 ranks"),
])
def test_threads_that_cannot_be_had_are_an_error(runs, words, fields, variable, said):
    if variable:
        runs.llem.env["VLLM_CPU_OMP_THREADS_BIND"] = variable
    done, study = faked(runs, words, {"vllm.n_threads": 1, **fields})
    assert done.returncode == 1 and said in study.error()["message"]


def test_a_default_outside_of_the_bounds_of_engine_json_is_that_of_the_engine(runs):
    said = json.loads(runs.llem.ok("engine", "schema", "vllm", "--json"))
    rows = {row["name"]: row for row in said["fields"]}
    assert rows["engine.long_prefill_token_threshold"]["default"] == -1
    assert "min" not in rows["engine.long_prefill_token_threshold"] and rows["engine.max_num_seqs"]["min"] == 1


def test_variables_that_change_the_work_are_in_the_result(runs):
    """Of the engine by its descriptor; of runtimes the values of those that hold a number or a word, of others the name."""
    runs.llem.env |= {"VLLM_KV_CACHE_LAYOUT": "NHD", "TORCHINDUCTOR_FREEZING": "1", "TRITON_CACHE_DIR": "/nowhere/t"}
    study = runs.one({})[1]
    variables = study.result()["engine"]["variables"]
    assert variables["VLLM_KV_CACHE_LAYOUT"] == "NHD" and variables["VLLM_USE_FLASHINFER_SAMPLER"] is None
    environment = json.loads((study.runs[0] / "environment.json").read_text())
    assert environment["variables"]["TORCHINDUCTOR_FREEZING"] == "1"
    assert "TRITON_CACHE_DIR" in environment["variables_not_shown"] and "/nowhere/t" not in json.dumps(environment)


@pytest.mark.parametrize("words, fails", [("", None), ("guesses_nothing", "'none' would be used"),
                                          ("guesses_one", "num_speculative_tokens: '4' was asked for, '1' would be used")])
def test_what_the_engine_guesses_by_is_in_the_record(runs, words, fails):
    """Not what was written, into which vLLM puts objects of its own."""
    fields = {"vllm.engine.speculative_config": {"method": "suffix", "num_speculative_tokens": 4}}
    done, study = faked(runs, words, fields)
    if fails:
        assert done.returncode == 1 and fails in study.error()["message"]
        return
    assert done.returncode == 0, done.stderr
    record = study.result()
    assert record["engine"]["resolved"]["engine"]["speculative_config"] == {"method": "suffix", "num_speculative_tokens": 4}
    assert record["config"]["vllm"]["engine"]["speculative_config"] == {"method": "suffix", "num_speculative_tokens": 4}


def test_what_became_of_a_mapping_is_in_the_record(runs):
    """All that the engine made of it, what nobody wrote too; not its folders, and not what it keeps in there."""
    made = {"mode": 3, "backend": "inductor", "cudagraph_mode": "FULL_AND_PIECEWISE", "custom_ops": ["none"],
            "pass_config": {"fuse_norm_quant": False, "eliminate_noops": True}}  # fmt: skip
    assert faked(runs, "")[1].result()["engine"]["resolved"]["engine"]["compilation_config"] == made
    fields = {"vllm.engine.compilation_config": {"mode": 0, "custom_ops": ["+rms_norm"], "cudagraph_mode": "NONE"}}
    done, study = faked(runs, "", fields)
    assert done.returncode == 0, done.stderr
    made |= {"mode": 0, "cudagraph_mode": "NONE", "custom_ops": ["none", "+rms_norm"]}
    assert study.result()["engine"]["resolved"]["engine"]["compilation_config"] == made


@pytest.mark.parametrize("words, given, said", [
    ("compiles", {"mode": 0}, "compilation_config.mode: '0' was asked for, 'VLLM_COMPILE' would be used"),
    ("no_graphs", {"cudagraph_mode": "FULL_AND_PIECEWISE"}, "cudagraph_mode: 'FULL_AND_PIECEWISE' was asked for, 'NONE'"),
    ("", {"pass_config": {"fuse_norm_quant": True}}, "compilation_config.pass_config.fuse_norm_quant: 'True' was asked for, 'False'"),
])
def test_what_became_something_else_inside_a_mapping_is_a_substitution(runs, words, given, said):
    runs.llem.ok("engine", "schema", "vllm")
    done, study = faked(runs, words, {"vllm.engine.compilation_config": given})
    assert done.returncode == 1 and said in study.error()["message"]


BAD = """\
model: m
backend: vllm
vllm:
  engine:
    compilation_config: {mod: 3, pass_config: {fuse_norm_qant: true}}
    attention_config: {flash_attn_version: 9}
    speculative_config: {num_speculative_tokens: many}
    spec_method: suffix
passthrough_kwargs: {speculative_config: {method: ngram}, compilation_config: {cudagraph_mode: FUL}}
"""
WRONG = [(5, "unknown field 'vllm.engine.compilation_config.mod'", "did you mean 'vllm.engine.compilation_config.mode'?"),
         (5, "unknown field 'vllm.engine.compilation_config.pass_config.fuse_norm_qant'", "pass_config.fuse_norm_quant'?"),
         (6, "vllm.engine.attention_config.flash_attn_version: expected an integer from 2 to 4, found 9", ""),
         (7, "vllm.engine.speculative_config.num_speculative_tokens: expected an integer", ""),
         (9, "vllm.engine.compilation_config.cudagraph_mode: expected one of NONE, PIECEWISE", "did you mean FULL?")]


def test_what_stands_inside_a_mapping_is_checked_before_anything_starts(runs, tmp_path):
    """By name, type and choices, wherever it is written."""
    runs.llem.ok("engine", "schema", "vllm")
    (tmp_path / "bad.yaml").write_text(BAD)
    said = runs.llem.run("plan", "bad.yaml", cwd=tmp_path)
    assert said.returncode == 2
    for line, words, hint in WRONG:
        (at,) = [i for i, text in enumerate(said.stderr.splitlines()) if words in text]
        assert f"bad.yaml:{line}:" in said.stderr.splitlines()[at] and hint in "".join(said.stderr.splitlines()[at:at + 5])


def test_a_member_of_a_mapping_is_swept(runs, noted):
    """Each run is given the whole mapping with its own level."""
    fields = {"vllm.engine.compilation_config": {"backend": "eager"}, "sweep": {"vllm.engine.compilation_config.mode": [0, 3]}}
    given = set(noted(fields)["engine.compilation_config"])
    assert {("<CompilationMode.NONE" in text, "backend='eager'" in text) for text in given} == {(True, True), (False, True)}


UNASKED = [("compilation_config: {enable_lora: true}", "compilation_config.enable_lora", False),
           ("kernel_config: {moe_backend: triton}", "kernel_config", True)]


@pytest.mark.parametrize("text, name, known", UNASKED, ids=["of a mapping", "the mapping"])
def test_what_is_known_of_an_engine_that_nobody_asked(runs, tmp_path, text, name, known):
    """A member is not the argument that happens to have its name."""
    (tmp_path / "unasked.yaml").write_text(f"model: m\nbackend: vllm\nvllm: {{engine: {{{text}}}}}\n")
    said = runs.llem.run("plan", "unasked.yaml", cwd=tmp_path).stderr
    assert f"unknown field 'vllm.engine.{name}'" in said and "`llem engine schema vllm`" in said
    assert ("has this parameter" in said) is known, said


def test_a_mapping_handed_on_may_be_unset(runs, tmp_path):
    (tmp_path / "unset.yaml").write_text("model: m\nbackend: vllm\npassthrough_kwargs: {compilation_config: null}\n")
    assert "expected a mapping" not in runs.llem.run("plan", "unset.yaml", cwd=tmp_path).stderr


@pytest.mark.parametrize("pair", ["{speculative_config: {method: suffix}, spec_method: suffix}",
                                  "{attention_config: {backend: CPU_ATTN}, attention_backend: CPU_ATTN}"])
def test_the_same_said_inside_and_outside_a_mapping_is_an_error(runs, tmp_path, pair):
    runs.llem.ok("engine", "schema", "vllm")
    (tmp_path / "both.yaml").write_text(f"model: m\nbackend: vllm\nvllm: {{engine: {pair}}}\n")
    said = runs.llem.run("plan", "both.yaml", cwd=tmp_path)
    assert said.returncode == 2 and "exclude each other" in said.stderr, said.stderr


@pytest.mark.parametrize("given", [{"method": "ngram"}, {"model": "[ngram]", "num_speculative_tokens": 2}])
def test_guesses_from_the_prompt_need_numba(runs, given):
    done, study = faked(runs, "", {"vllm.engine.speculative_config": given})
    assert done.returncode == 1 and "needs the package numba" in study.error()["message"]


def test_tokens_from_the_cache_are_counted(runs, tmp_path):
    fields = {"vllm.engine.enable_prefix_caching": True, **prompts(tmp_path, "a b c", "d", "a b c")}
    done, study = faked(runs, "", fields)
    assert done.returncode == 0, done.stderr
    assert metric(study.result(), "tokens_in_cached")["value"] == 1


def test_a_start_that_fails_says_so(runs):
    done, study = faked(runs, "fails")
    assert done.returncode == 1 and "Engine core initialization failed" in study.error()["message"]


def test_swap_space_is_refused_with_what_to_write(runs):
    done, _ = runs.one({"vllm.engine.swap_space": 4})
    assert done.returncode == 2 and "swap_space" in done.stderr and "cpu_offload_gb" in done.stderr


def test_speculative_model_is_translated_and_the_result_says_so(runs):
    done, study = runs.one({"vllm.engine.speculative_model": "/small", "vllm.engine.num_speculative_tokens": 4})
    assert done.returncode == 0, done.stderr
    assert "vllm.engine.speculative_model is called vllm.engine.spec_model now" in done.stderr
    record = study.result()
    made = record["engine"]["resolved"]["engine"]["speculative_config"]
    assert made == {"method": "draft_model", "model": "/small", "num_speculative_tokens": 4}
    assert record["origins"]["vllm.engine.spec_model"].endswith("written as vllm.engine.speculative_model")
    assert record["origins"]["vllm.engine.spec_tokens"].endswith("written as vllm.engine.num_speculative_tokens")


# --- A start that takes long ----------------------------------------------------------------------------------------------


@pytest.fixture
def starting(llem, tmp_path):
    """An adapter whose engine never comes up, with the load under way."""
    env = {"LLEM_FAKE_VLLM": "hangs"}
    adapter = adapters.Spoken([fakes.python(tmp_path, "vllm"), FOLDER / "vllm_adapter.py"], tmp_path, env=env, path=[FOLDER])
    adapter.ok("hello", protocol=1)
    adapter.send("load", config={"model_path": str(fakes.model(tmp_path, tokenizer=True))})
    time.sleep(1)
    yield adapter
    adapter.close()


def test_a_start_can_be_aborted(starting):
    starting.send("abort")
    assert starting.reply(1)["class"] == "Aborted" and starting.reply(1)["type"] == "abort"
    assert starting.end() == 0


@pytest.mark.parametrize("end", [lambda adapter: adapter.process.terminate(), lambda adapter: adapter.sock.close()], ids=["term", "eof"])
def test_a_start_can_be_ended(starting, end):
    end(starting)
    assert starting.process.wait(10) == 0


def test_a_process_whose_parent_has_ended_is_ended_too(llem, tmp_path):
    """It is nobody's descendant any more, but of the adapter's group."""
    env = {"LLEM_FAKE_VLLM": "orphans"}
    adapter = adapters.Spoken([fakes.python(tmp_path, "vllm"), FOLDER / "vllm_adapter.py"], tmp_path, env=env, path=[FOLDER])
    assert adapter.load(fakes.model(tmp_path, tokenizer=True))["type"] == "load", adapter.lately()
    group = str(adapter.process.pid)

    def left():
        found = subprocess.run(["ps", "-e", "-o", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
        return [row for row in map(str.split, found.splitlines()) if row[0] == group and row[1][0] not in "ZX"]

    assert any("sleep" in row for row in left())
    assert adapter.end() == 0
    for _ in range(50):
        if not left():
            return
        time.sleep(0.1)
    os.killpg(adapter.process.pid, signal.SIGKILL)
    raise AssertionError("something of the engine is left")


def test_a_start_is_judged_by_what_its_processes_do():
    """Not by what they say: one that computes may take its time, one that sleeps may not."""
    code = ("import subprocess, sys, time, vllm_adapter as a\n"
            "a.STUCK_S = 0.5\n"
            "for words in (['while True: pass'], ['import time; time.sleep(60)']):\n"
            "    child = subprocess.Popen([sys.executable, '-c', *words])\n"
            "    time.sleep(0.5)\n"
            "    watch = a.Watch(lambda: [child.pid])\n"
            "    time.sleep(1)\n"
            "    try:\n        watch.look(); print('goes on')\n"
            "    except a.Refused as error:\n        print(error.kind)\n"
            "    child.kill()\n")
    env = {**os.environ, "PYTHONPATH": f"{FOLDER}:{adapters.PACKAGE}"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["goes on", "LoadFailed"]
