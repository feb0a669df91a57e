"""No option is recorded as done that did nothing: every one of every adapter here is changed, and what the engine was
given, or what it did, changes with it; or the value is refused.

The lists of options are those of the descriptors, the general ones those of the schema: an option without a case fails.
llama.cpp is watched by a library preloaded before libllama (tests/engines/recording_llama.c), PyTorch's adapter runs on
stand-ins for torch and transformers that note what they are given (tests/engines/fake_torch)."""

import json
import shutil
import subprocess
from pathlib import Path
from unittest.mock import ANY

import fakes
import ggufs
import pytest

from studies import Study, metric, write

QUICK = {"n": 2, "max_input_tokens": 8, "max_output_tokens": 3, "warmup.enabled": False}
QUICK |= {"energy.modelled": False, "energy.max_repeats": 1}


def options_of(build_dir, engine):
    return json.loads((build_dir / "libexec" / "llem" / "engines" / engine / "engine.json").read_text())["options"]


def prompts(folder, *texts):
    """The fields of a data set of these prompts."""
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts))
    return {"dataset": str(path), "n": len(texts)}


class Runs:
    """Runs of one engine, each in folders of its own."""

    def __init__(self, llem, folder, fields):
        self.llem, self.folder, self.fields, self.n = llem, folder, fields, 0

    def one(self, fields, **options):
        """(CompletedProcess, Study or None) of one cell."""
        self.n += 1
        path = write(self.folder / f"{self.n}.yaml", {**self.fields, **fields}, execution={"n_cycles": 1})
        results = self.folder / f"results{self.n}"
        done = self.llem.run("run", path, "-o", results, timeout=60, **options)
        studies = [p for p in results.iterdir()] if results.exists() else []
        return done, Study(studies[0]) if studies else None


def test_every_adapter_here_is_walked(build_dir):
    """Those whose program lies in their folder; the others are descriptors alone."""
    here = set()
    for descriptor in (build_dir / "libexec" / "llem" / "engines").glob("*/engine.json"):
        words = json.loads(descriptor.read_text()).get("command", [])
        programs = [word.removeprefix("{dir}/") for word in words if word.startswith("{dir}/")]
        if any((descriptor.parent / program).exists() for program in programs):
            here.add(descriptor.parent.name)
    assert here == {"llamacpp", "pytorch", "sim", "vllm"}


# --- llama.cpp --------------------------------------------------------------------------------------------------------

# What a run was given when it never came to the engine, or the engine would not have it.
REFUSED = "refused"


@pytest.fixture
def recorded(llem, build_dir, tmp_path):
    """recorded(fields): what libllama was given, name → list of values, or REFUSED and the words."""
    library = build_dir / "tests" / "librecording_llama.so"
    if not library.exists():
        pytest.fail("no recording library: configure with a libllama")
    model = tmp_path / "tiny.gguf"
    ggufs.write(model, *ggufs.llama())
    runs = Runs(llem, tmp_path, {**QUICK, "backend": "llamacpp", "model": str(model)})
    known = {}

    def go(fields):
        key = json.dumps(fields, sort_keys=True)
        if key in known:
            return known[key]
        calls = tmp_path / f"calls{len(known)}"
        calls.mkdir()
        watched = {"LD_PRELOAD": str(library), "ASAN_OPTIONS": "verify_asan_link_order=0"}
        done, study = runs.one(fields, env={"LLEM_TEST_RECORDING": str(calls), **watched})
        if done.returncode:
            assert done.returncode == 2 or study.states() == ["failed"], done.stderr
            known[key] = {REFUSED: [study.error()["message"] if study and study.runs else done.stderr]}
            return known[key]
        given = {}
        for line in next(calls.iterdir()).read_text().splitlines():
            name, _, value = line.partition(" ")
            given.setdefault(name, []).append(value)
        known[key] = given
        return given

    return go


KV = ["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]
FLASH = {"llamacpp.flash_attn": "on"}
SEVERAL = {"n": 4, "llamacpp.n_parallel": 2}

# option → (values, what they come to in the calls, what else is set, those of the values that may be refused: by every
# machine or by this one, which has no GPU or locks no memory)
LLAMACPP = {
    "quantization": (["q8_0", "q4_1", "q4_0"], "model.path", {}, ["q8_0", "q4_1", "q4_0"]),
    "n_threads": ([1, 2], "context.n_threads", {}, []),
    "n_threads_batch": ([1, 2], "context.n_threads_batch", {}, []),
    "n_parallel": ([1, 2], "context.n_seq_max", {}, []),
    "n_ctx": ([256, 512], "context.n_ctx", {}, []),
    "n_batch": ([4, 8], "context.n_batch", {"llamacpp.n_ubatch": 4}, []),
    "n_ubatch": ([4, 8], "context.n_ubatch", {"llamacpp.n_batch": 16}, []),
    "type_k": (KV, "context.type_k", FLASH, []),
    "type_v": (KV, "context.type_v", FLASH, []),
    "flash_attn": (["off", "on", "auto"], "context.flash_attn_type", {}, []),
    "n_gpu_layers": ([-1, 0, 1], "model.n_gpu_layers", {}, [1]),
    "split_mode": (["none", "layer", "row", "tensor"], "model.split_mode", {}, ["tensor"]),
    "main_gpu": ([0, 1], "model.main_gpu", {"llamacpp.split_mode": "none"}, []),
    "tensor_split": ([[3, 1], [1, 0.5], 2], "model.tensor_split", {"allow_substitution": True}, []),
    "offload_kqv": ([True, False], "context.offload_kqv", {}, []),
    "op_offload": ([True, False], "context.op_offload", {}, []),
    "kv_unified": ([True, False], "context.kv_unified", SEVERAL, []),
    "swa_full": ([True, False], "context.swa_full", {}, []),
    "use_extra_bufts": ([True, False], "model.use_extra_bufts", {}, []),
    "add_bos": ([True, False], "tokenize.add_special", {}, []),
    "load_mode": (["auto", "none", "mmap", "mlock", "mmap+mlock", "dio"], "model.load_mode", {}, ["mlock", "mmap+mlock", "dio"]),
    "lazy_mode": (["off", "auto", "on"], "model.lazy_mode", {}, []),
}

WARM = {"decoder.temperature": 0.5}
# The same of the general fields that an adapter is given.
GENERAL = {
    "max_input_tokens": ([4, 400], "context.n_ctx", {}, []),
    "max_output_tokens": ([3, 400], "context.n_ctx", {"n": 1, "max_input_tokens": 2}, []),
    "random_seed": ([1, 2], "sampler.seed", WARM, []),
    "decoder.preset": (["deterministic", "standard", "creative", "factual"], "sampler.temperature", {}, []),
    "decoder.temperature": ([0, 0.5, 0.7], "sampler.temperature", {}, []),
    "decoder.do_sample": ([False, True], "sampler.seed", WARM, [False]),
    "decoder.top_k": ([0, 10, 20], "sampler.top_k", WARM, []),
    "decoder.top_p": ([1, 0.5, 0.7], "sampler.top_p", WARM, []),
    "decoder.min_p": ([0, 0.1, 0.2], "sampler.min_p", WARM, []),
    "decoder.repetition_penalty": ([1, 1.1, 1.2], "sampler.repeat", {}, []),
    "decoder.ignore_eos": ([True, False], "generate.looks_for_end", {}, []),
    "decoder.min_new_tokens": ([0, 2], None, {"decoder.ignore_eos": False}, [2]),
}


def judge(recorded, field, case):
    values, call, besides, refused = case
    seen = {}
    for value in values:
        given = recorded({**besides, field: value})
        print(field, value, given.get(call), given.get(REFUSED))
        if REFUSED in given:
            assert value in refused, given
            assert field.rpartition(".")[2] in given[REFUSED][0].lower(), given
        elif call:
            seen[str(value)] = given.get(call)
    assert len({json.dumps(given) for given in seen.values()}) == len(seen), seen


def test_every_option_of_llamacpp_has_a_case(build_dir):
    options = options_of(build_dir, "llamacpp")
    assert set(LLAMACPP) == {o["name"] for o in options}
    for option in options:
        values = LLAMACPP[option["name"]][0]
        if option["type"] == "choice":
            assert values == [c if isinstance(c, str) else c["name"] for c in option["choices"]], option["name"]
        assert len(values) > 1


@pytest.mark.parametrize("option", LLAMACPP)
def test_an_option_of_llamacpp_reaches_libllama(recorded, option):
    judge(recorded, f"llamacpp.{option}", LLAMACPP[option])


def test_more_shares_than_gpus_are_refused(llem, recorded):
    """libllama drops those that are too many without a word."""
    llem.env["LLEM_TEST_CPU_IS_GPU"] = "1"
    (said,) = recorded({"llamacpp.tensor_split": [3, 1]})[REFUSED]
    assert "tensor_split has 2 shares, and libllama finds 1 GPU: write a share for each" in said
    assert recorded({"llamacpp.lazy_mode": "on", "llamacpp.load_mode": "none"})[REFUSED] == [ANY]


def test_every_general_field_has_a_case(llem):
    schema = json.loads(llem.ok("config", "schema"))["properties"]
    decoder = {f"decoder.{name}" for name in schema["decoder"]["properties"]}
    assert decoder == {name for name in GENERAL if name.startswith("decoder.")}


@pytest.mark.parametrize("field", GENERAL)
def test_a_general_field_reaches_libllama(recorded, field):
    judge(recorded, field, GENERAL[field])


def test_precision_and_quantization_pick_the_file(llem, build_dir, tmp_path, recorded):
    """Of a model of the catalogue; the stand-ins for its forms are tiny, but for the packaged one, which has a pin."""
    llem.use_real_models()
    packaged = Path(llem.env["LLEM_MODELS_DIR"]) / "smollm2-135m-instruct" / "SmolLM2-135M-Instruct-Q4_1.gguf"
    adapter = build_dir / "libexec" / "llem" / "engines" / "llamacpp" / "llem-engine-llamacpp"
    models = tmp_path / "models"
    folder = models / "smollm2-135m-instruct"
    folder.mkdir(parents=True)
    shutil.copy(packaged, folder)
    for form in ("q4_0", "q8_0", "f16", "bf16", "f32"):
        target = folder / f"SmolLM2-135M-Instruct-{form.upper()}.gguf"
        subprocess.run([adapter, "--quantize", tmp_path / "tiny.gguf", target, form], check=True, capture_output=True)
    llem.env["LLEM_MODELS_DIR"] = str(models)
    choices = [{"precision": p} for p in ("fp32", "fp16", "bf16")]
    choices += [{"llamacpp.quantization": q} for q in ("q8_0", "q4_1", "q4_0")]
    paths = [recorded({"model": "smollm2-135m-instruct", **c}).get("model.path") for c in choices]
    names = [path[0].rpartition("-")[2] for path in paths]
    assert names == ["F32.gguf", "F16.gguf", "BF16.gguf", "Q8_0.gguf", "Q4_1.gguf", "Q4_0.gguf"]
    shutil.rmtree(models)


@pytest.mark.parametrize("says", [True, False, None])
def test_begin_of_text(llem, tmp_path, says):
    """add_bos changes the ids that the work is, and is refused, where it is written, for a file that asks for none."""
    rule = {} if says is None else {"tokenizer__ggml__add_bos_token": says}
    model = ggufs.write(tmp_path / "tiny.gguf", *ggufs.llama(**rule))
    more = {**prompts(tmp_path, "hello"), "max_input_tokens": 32}
    runs = Runs(llem, tmp_path, {**QUICK, **more, "backend": "llamacpp", "model": str(model)})
    _, bare = runs.one({})
    done, study = runs.one({"llamacpp.add_bos": True})
    if says is False:
        assert done.returncode == 2
        assert "2.yaml:" in done.stderr
        assert "llamacpp.add_bos: true does nothing with" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    without, with_ = bare.result(), study.result()
    assert without["engine"]["resolved"]["add_bos"] is False
    assert with_["engine"]["resolved"]["add_bos"] is True
    assert with_["workload"]["input_tokens"] == [n + 1 for n in without["workload"]["input_tokens"]]
    assert with_["workload"]["input_ids_sha256"] != without["workload"]["input_ids_sha256"]


def test_begin_of_text_that_only_the_engine_knows_of(llem, tmp_path):
    """A file that is silent, of a kind of tokenizer that adds nothing by itself."""
    words = {"tokenizer__ggml__model": "gpt2", "tokenizer__ggml__pre": "default", "tokenizer__ggml__merges": ["a b"]}
    model = ggufs.write(tmp_path / "tiny.gguf", *ggufs.llama(**words))
    runs = Runs(llem, tmp_path, {**QUICK, "n": 1, "backend": "llamacpp", "model": str(model)})
    done, study = runs.one({"llamacpp.add_bos": True})
    assert done.returncode == 1
    assert "Substitution: " in study.error()["message"]
    assert "add_bos: 'true' was asked for, 'no special tokens' would be used" in study.error()["message"]


# --- PyTorch ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def noted(llem, build_dir, tmp_path):
    """noted(fields): what torch and transformers were given, name → list of values, or REFUSED and the words."""
    runs = Runs(llem, tmp_path, {**QUICK, "backend": "pytorch", "model": str(fakes.model(tmp_path)), **prompts(tmp_path, *TEXTS)})
    fakes.model(tmp_path, "small")
    fakes.model(tmp_path, "smaller")
    llem.env["LLEM_PYTORCH_PYTHON"] = str(fakes.python(tmp_path, "torch"))

    def go(fields):
        calls = tmp_path / f"calls{runs.n}"
        calls.mkdir()
        env = {"LLEM_TEST_RECORDING": str(calls)}
        if fields.get("pytorch.device"):
            env |= {"LLEM_FAKE_TORCH": "cuda", "LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so")}
        done, study = runs.one(fields, env=env)
        if done.returncode:
            assert done.returncode == 2 or study.states() == ["failed"], done.stderr
            return {REFUSED: [study.error()["message"] if study and study.runs else done.stderr]}
        return fakes.noted(calls)

    return go


TEXTS = ["a b", "c d e", "f g h i", "j"]
FOUR = {"pytorch.batch_size": 4}
COMPILED = {"pytorch.torch_compile": True}
FOUR_BITS = {"pytorch.load_in_4bit": True}
EIGHT_BITS = {"pytorch.load_in_8bit": True}
QUANTIZED = {"pytorch.cache_implementation": "quantized"}
BEAMS = {"pytorch.num_beams": 2, "decoder.ignore_eos": False}
ASSISTED = {"pytorch.assistant_model": "small"}
# The same of PyTorch.
PYTORCH = {
    "n_threads": ([1, 2], "set_num_threads", {}, []),
    "batch_size": ([1, 2, 4], "generate.rows", {}, []),
    "padding": (["longest", "max_length"], "generate.length", {**FOUR, "max_input_tokens": 8}, []),
    "max_batch_tokens": ([4, 8, 1000], "generate.rows", FOUR, []),
    # the file has fp32 for precision; other types exclude it
    "dtype": (["float32", "float16", "bfloat16"], "from_pretrained.dtype", {}, ["float16", "bfloat16"]),
    "attn_implementation": (["sdpa", "flash_attention_2", "flash_attention_3", "flash_attention_4", "flex_attention", "eager"],
                            "from_pretrained.attn_implementation", {"precision": "bf16"}, []),
    "attn_kernel": (["kernels-community/flash-attn2", "kernels-community/flash-attn3"], "from_pretrained.attn_implementation", {}, []),
    "compile_config.dynamic": ([False, True], "compile", COMPILED, []),
    "compile_config.fullgraph": ([False, True], "compile", COMPILED, []),
    "compile_config.options": ([{"max_autotune": True}, {"shape_padding": True}], "compile", COMPILED, []),
    "torch_compile": ([False, True], "compile", {}, []),
    "torch_compile_mode": (["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"], "compile", COMPILED, []),
    "torch_compile_backend": (["inductor", "eager"], "compile", COMPILED, []),
    "load_in_4bit": ([False, True], "bnb.load_in_4bit", {}, []),
    "load_in_8bit": ([False, True], "bnb.load_in_8bit", {}, []),
    "llm_int8_threshold": ([0, 6], "bnb.llm_int8_threshold", EIGHT_BITS, []),
    "llm_int8_has_fp16_weight": ([False, True], "bnb.llm_int8_has_fp16_weight", EIGHT_BITS, []),
    "llm_int8_enable_fp32_cpu_offload": ([False, True], "bnb.llm_int8_enable_fp32_cpu_offload", EIGHT_BITS, []),
    "llm_int8_skip_modules": ([["lm_head"], ["embed"]], "bnb.llm_int8_skip_modules", FOUR_BITS, []),
    "bnb_4bit_quant_storage": (["uint8", "float16", "bfloat16", "float32"], "bnb.bnb_4bit_quant_storage", FOUR_BITS, []),
    "experts_implementation": (["eager", "batched_mm"], "from_pretrained.experts_implementation", {}, []),
    "use_kernels": ([False, True], "from_pretrained.use_kernels", {}, []),
    "offload_buffers": ([False, True], "from_pretrained.offload_buffers", {"pytorch.device_map": "auto"}, []),
    "bnb_4bit_compute_dtype": (["float16", "bfloat16", "float32"], "bnb.bnb_4bit_compute_dtype", FOUR_BITS, []),
    "bnb_4bit_quant_type": (["nf4", "fp4"], "bnb.bnb_4bit_quant_type", FOUR_BITS, []),
    "bnb_4bit_use_double_quant": ([False, True], "bnb.bnb_4bit_use_double_quant", FOUR_BITS, []),
    "use_cache": ([True, False], "generation.use_cache", {}, []),
    "cache_implementation": (["dynamic", "static", "offloaded", "offloaded_static", "quantized"], "generation.cache_implementation",
                             {}, ["offloaded", "offloaded_static"]),
    "cache_backend": (["quanto", "hqq"], "generation.cache_config", QUANTIZED, []),
    "cache_nbits": ([2, 4, 8], "generation.cache_config", QUANTIZED, [8]),
    "num_beams": ([1, 2], "generation.num_beams", {}, []),
    "early_stopping": ([False, True], "generation.early_stopping", BEAMS, []),
    "length_penalty": ([0.5, 2], "generation.length_penalty", BEAMS, []),
    "no_repeat_ngram_size": ([0, 2], "processor", {}, []),
    "prompt_lookup_num_tokens": ([2, 3], "generation.prompt_lookup_num_tokens", {}, []),
    "max_matching_ngram_size": ([1, 2], "generation.max_matching_ngram_size", {"pytorch.prompt_lookup_num_tokens": 2}, []),
    "assistant_model": (["small", "smaller"], "from_pretrained", {}, []),
    "num_assistant_tokens": ([2, 3], "assistant.generation", ASSISTED, []),
    "assistant_confidence_threshold": ([0, 0.5], "assistant.generation", ASSISTED, []),
    "device": (["cpu", "cuda", "cuda:1"], "to", {}, []),
    "device_map": (["auto", "cpu"], "from_pretrained.device_map", {}, []),
    "max_memory": ([{"cpu": "1GiB"}, {"0": "2GiB"}], "from_pretrained.max_memory", {"pytorch.device_map": "auto"}, []),
    "autocast_enabled": ([False, True], "autocast", {}, []),
    "autocast_dtype": (["float16", "bfloat16"], "autocast", {"pytorch.autocast_enabled": True}, []),
    "tp_plan": ([None, "auto"], "distributed.tp_plan", {"pytorch.tp_size": 2}, [None]),
    "tp_size": ([2, 3], "distributed.tp_size", {"pytorch.tp_plan": "auto"}, []),
    "trust_remote_code": ([False, True], "from_pretrained.trust_remote_code", {}, []),
}
PYTORCH_GENERAL = {
    "precision": (["fp32", "fp16", "bf16"], "from_pretrained.dtype", {}, []),
    "max_input_tokens": ([1, 2, 4], "generate.length", FOUR, []),
    "max_output_tokens": ([3, 5], "generation.max_new_tokens", {}, []),
    "random_seed": ([1, 2], "manual_seed", WARM, []),
    "decoder.preset": (["deterministic", "standard", "creative", "factual"], "generation.temperature", {}, []),
    "decoder.temperature": ([0, 0.5, 0.7], "generation.temperature", {}, []),
    "decoder.do_sample": ([False, True], "generation.do_sample", WARM, [False]),
    "decoder.top_k": ([0, 10, 20], "generation.top_k", WARM, []),
    "decoder.top_p": ([1, 0.5, 0.7], "generation.top_p", WARM, []),
    "decoder.min_p": ([0, 0.1, 0.2], "generation.min_p", WARM, []),
    "decoder.repetition_penalty": ([1, 1.1, 1.2], "processor", {}, []),
    "decoder.ignore_eos": ([True, False], "step", {}, []),
    "decoder.min_new_tokens": ([0, 2], "processor", {"decoder.ignore_eos": False}, []),
}


def test_every_option_of_pytorch_has_a_case(build_dir, llem):
    options = options_of(build_dir, "pytorch")
    assert set(PYTORCH) == {o["name"] for o in options}
    for option in options:
        values = PYTORCH[option["name"]][0]
        if option["type"] == "choice" and len(option["choices"]) > 1:
            assert values == [c if isinstance(c, str) else c["name"] for c in option["choices"]], option["name"]
        assert len(values) > 1
    decoder = json.loads(llem.ok("config", "schema"))["properties"]["decoder"]["properties"]
    assert {f"decoder.{name}" for name in decoder} == {name for name in PYTORCH_GENERAL if name.startswith("decoder.")}


@pytest.mark.parametrize("field", [*(f"pytorch.{name}" for name in PYTORCH), *PYTORCH_GENERAL])
def test_an_option_of_pytorch_reaches_it(noted, field):
    judge(noted, field, {**{f"pytorch.{name}": case for name, case in PYTORCH.items()}, **PYTORCH_GENERAL}[field])


# --- The scripted engine ----------------------------------------------------------------------------------------------


def ms(name):
    return lambda record: metric(record, name)["value"] * 1e3


def value(name):
    return lambda record: metric(record, name)["value"]


def at(*path):
    def look(record):
        for step in path:
            record = record[step]
        return record

    return look


SLEEPS = {"sim.token_us": 20000}
# option → (first value, second, what is looked at, by how much it grows (None: it is another), what else is set)
SIM = {
    "batch_size": (1, 2, ms("window_s"), -40, SLEEPS),
    "load_ms": (0, 300, ms("load_s"), 250, {}),
    "prefill_us_per_token": (0, 20000, ms("ttft_mean_s"), 100, {}),
    "token_us": (1000, 40000, ms("tpot_mean_s"), 30, {}),
    "jitter": (0, 1, ms("itl_max_s"), 2, {**SLEEPS, "max_output_tokens": 12}),
    "batch_cost": (0, 4, ms("tpot_mean_s"), 50, {**SLEEPS, "sim.batch_size": 2}),
    "threads": (1, 2, value("cpu_s_per_output_token"), 0.008, {"sim.decode_load": 0.4, "sim.token_us": 150000}),
    "prefill_load": (0, 0.5, value("cpu_s_per_output_token"), 0.008, {"sim.prefill_us_per_token": 40000}),
    "decode_load": (0, 0.5, value("cpu_s_per_output_token"), 0.008, {"sim.token_us": 150000}),
    "idle_load": (0, 0.2, at("flags"), None, {}),
    "memory_mib": (0, 8, value("weights_mb"), 8, {}),
    "kv_bytes_per_token": (0, 1000000, value("peak_memory_mb"), 5, {}),
    "max_context": (0, 10, REFUSED, None, {}),
    "vocab": (512, 32000, at("workload", "input_ids_sha256"), None, {}),
    "tokenizer": ("words", "bytes", at("workload", "input_ids_sha256"), None, {}),
    "device": ("cpu", "gpu", at("machine", "on_gpu"), None, {}),
    "prefix_cache": (False, True, value("tokens_in_cached"), 5, {}),
    "merge": (1, 2, at("flags"), None, {}),
    "eos_after": (0, 2, value("tokens_out"), -2, {"decoder.ignore_eos": False}),
    "attention": ("auto", "flash", at("engine", "resolved", "attention"), None, {}),
    "fail": ("none", "load_error", REFUSED, None, {}),
    "fail_at": (1, 100, REFUSED, None, {"sim.fail": "exit"}),
    "log_mib": (0, 1, "log", 500000, {"sim.fail": "log_flood"}),
}
SIM_GENERAL = {
    "precision": ("fp32", "bf16", at("engine", "resolved", "precision"), None, {}),
    "random_seed": (1, 2, at("workload", "output_ids_sha256"), None, WARM),
    "allow_substitution": (False, True, REFUSED, None, {"sim.fail": "substitute"}),
    "max_input_tokens": (4, 8, value("tokens_in"), 8, {}),
    "max_output_tokens": (3, 4, value("tokens_out"), 2, {}),
    "decoder.preset": ("standard", "creative", at("workload", "output_ids_sha256"), None, {}),
    "decoder.temperature": (0, 0.5, at("workload", "output_ids_sha256"), None, {}),
    "decoder.do_sample": (False, True, REFUSED, None, WARM),
    "decoder.top_k": (10, 20, at("workload", "output_ids_sha256"), None, WARM),
    "decoder.top_p": (0.5, 0.7, at("workload", "output_ids_sha256"), None, WARM),
    "decoder.min_p": (0.1, 0.2, at("workload", "output_ids_sha256"), None, WARM),
    "decoder.repetition_penalty": (1, 1.1, at("workload", "output_ids_sha256"), None, {}),
    "decoder.ignore_eos": (True, False, value("tokens_out"), None, {"sim.eos_after": 2}),
    "decoder.min_new_tokens": (0, 3, value("tokens_out"), 2, {"decoder.ignore_eos": False, "sim.eos_after": 2}),
}


def test_every_option_of_sim_has_a_case(build_dir, llem):
    assert set(SIM) == {option["name"] for option in options_of(build_dir, "sim")}
    decoder = json.loads(llem.ok("config", "schema"))["properties"]["decoder"]["properties"]
    assert {f"decoder.{name}" for name in decoder} == {name for name in SIM_GENERAL if name.startswith("decoder.")}


def seen_by(study, done, look):
    if look == REFUSED:
        return done.returncode
    if look == "log":
        return (study.runs[0] / "engine.log").stat().st_size
    assert done.returncode == 0, done.stderr
    return look(study.result())


@pytest.mark.timing
@pytest.mark.parametrize("field", [*(f"sim.{name}" for name in SIM), *SIM_GENERAL])
def test_an_option_of_sim_changes_what_it_does(llem, build_dir, tmp_path, field):
    first, second, look, grows, besides = {**{f"sim.{name}": case for name, case in SIM.items()}, **SIM_GENERAL}[field]
    if field == "sim.device":
        llem.env["LLEM_NVML_LIBRARY"] = str(build_dir / "lib" / "libllem-nvml-sim.so")
    if field == "sim.prefix_cache":
        besides = prompts(tmp_path, "the same six words once more", "the same six words once more")
    runs = Runs(llem, tmp_path, {**QUICK, "backend": "sim", **besides})
    before, after = (seen_by(*reversed(runs.one({field: v})), look) for v in (first, second))
    print(field, before, after)
    if grows is None:
        assert before != after
    elif grows < 0:
        assert after <= before + grows
    else:
        assert after >= before + grows
