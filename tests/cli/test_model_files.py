"""What a model's files say, through llem: models in parts, layers that differ, windows, latent and recurrent models.

The toy engine of the documentation stands in where nothing has to be computed: it is given the model and does not read it."""

import json
import os
import pty
import re

import ggufs
import pytest
import toy

from studies import Study, metric, write

QUICK = {"n": 2, "max_input_tokens": 8, "max_output_tokens": 5, "warmup.enabled": False, "energy.modelled": False,
         "energy.max_repeats": 1}  # fmt: skip


@pytest.fixture
def run(llem, tmp_path):
    """run(fields, expect): (CompletedProcess, Study or None) of one cell; the study is named 1.yaml, 2.yaml, …"""
    count = iter(range(1, 100))

    def go(fields, expect=0):
        n = next(count)
        path = write(tmp_path / f"{n}.yaml", {**QUICK, "backend": "llamacpp", **fields}, execution={"n_cycles": 1})
        done = llem.run("run", path, "-o", tmp_path / f"results{n}", timeout=60)
        assert done.returncode == expect, f"{done.stdout}\n{done.stderr}"
        studies = list((tmp_path / f"results{n}").glob("*/study.json"))
        return done, Study(studies[0].parent) if studies else None

    return go


def takes(llem, kind):
    """The toy engine, which is given models of that kind."""
    toy.install(llem, descriptor=lambda tree: tree.update(model={"takes": kind}))


# --- Models in parts --------------------------------------------------------------------------------------------------


def test_a_model_in_parts_is_the_model(run, tmp_path):
    """The engine computes the same, sizes and parameters are of all parts, and the record counts them."""
    whole = ggufs.write(tmp_path / "whole.gguf", *ggufs.llama())
    parts = ggufs.in_parts(tmp_path, "tiny", *ggufs.llama(), 3)
    one, three = (run({"model": str(path)})[1].result() for path in (whole, parts[0]))
    assert three["workload"]["output_ids_sha256"] == one["workload"]["output_ids_sha256"]
    assert three["model"]["n_files"] == 3
    assert three["model"]["file_bytes"] == sum(path.stat().st_size for path in parts)
    for name in ("n_params", "weights_bytes", "n_layers", "form"):
        assert three["model"][name] == one["model"][name], name
    assert metric(three, "flops")["value"] == metric(one, "flops")["value"]
    assert metric(three, "weights_mb")["value"] == metric(one, "weights_mb")["value"]
    assert three["engine"]["facts"]["model_sha256"] != one["engine"]["facts"]["model_sha256"]
    assert three["identity"]["config_hash"] != one["identity"]["config_hash"]


@pytest.mark.parametrize("part", [0, 1, 2])
def test_every_part_is_in_the_hash(llem, tmp_path, part):
    parts = ggufs.in_parts(tmp_path, "tiny", *ggufs.llama(), 3)
    path = write(tmp_path / "s.yaml", {**QUICK, "backend": "llamacpp", "model": str(parts[0])})
    before = llem.ok("config", "check", path)
    body = bytearray(parts[part].read_bytes())
    body[-1] ^= 1
    parts[part].write_bytes(body)
    assert llem.ok("config", "check", path) != before


def broken(parts, how, tmp_path):
    """Makes something of the parts wrong; the path to give, and what is said of it."""
    if how == "missing":
        parts[1].unlink()
        return parts[0], f"part 2 of 3 of the model is missing: there is no {parts[1]}"
    if how == "no part":
        ggufs.write(parts[1], *ggufs.llama())
        return parts[0], f"{parts[1]} is no part of a model, but lies where part 2 of 3 should be"
    if how == "another number":
        parts[1].write_bytes(parts[2].read_bytes())
        return parts[0], f"{parts[1]} says that it is part 3 of 3: it is of another model"
    if how == "another count":
        other = ggufs.in_parts(tmp_path, "other", *ggufs.llama(), 4)
        parts[1].write_bytes(other[1].read_bytes())
        return parts[0], f"{parts[1]} says that it is part 2 of 4: it is of another model"
    if how == "foreign tensors":
        pairs, tensors = ggufs.llama()
        names = [*tensors][6:]
        other = ggufs.in_parts(tmp_path, "other", pairs, {name: tensors[name] for name in names}, 3)
        parts[2].write_bytes(other[2].read_bytes())
        return parts[0], "one of them is of another model"
    if how == "another width":
        pairs, tensors = ggufs.llama()
        narrow = {name: ([d // 2 for d in dims], None) for name, (dims, _) in tensors.items()}
        other = ggufs.in_parts(tmp_path, "other", pairs, narrow, 3)
        parts[2].write_bytes(other[2].read_bytes())
        return parts[0], f"{parts[2]}: its layers are 32 wide, and those of the model 64: it is of another model"
    if how == "twice":
        pairs, tensors = ggufs.llama()
        other = ggufs.in_parts(tmp_path, "other", pairs, dict(reversed(tensors.items())), 3)
        parts[2].write_bytes(other[2].read_bytes())
        return parts[0], "is in an earlier part too: it is of another model"
    if how == "truncated":
        parts[2].write_bytes(parts[2].read_bytes()[:-200])
        return parts[0], "it is truncated"
    if how == "not the first":
        return parts[1], f"is part 2 of 3 of a model; write the path of the first: {parts[0]}"
    assert how == "renamed"
    return parts[0].rename(tmp_path / "renamed.gguf"), "its name must end in -00001-of-0000N.gguf"


HOW = ["missing", "no part", "another number", "another count", "foreign tensors", "another width", "twice", "truncated", "not the first",
       "renamed"]  # fmt: skip


@pytest.mark.parametrize("command", [("config", "check"), ("plan",), ("run",)])
@pytest.mark.parametrize("how", HOW)
def test_a_part_that_is_wrong_is_told_where_the_model_is_written(llem, tmp_path, how, command):
    parts = ggufs.in_parts(tmp_path, "tiny", *ggufs.llama(), 3)
    model, says = broken(parts, how, tmp_path)
    path = tmp_path / "s.yaml"
    path.write_text(f"backend: llamacpp\nn: 2\nmodel: {model}\n")
    done = llem.run(*command, path)
    assert done.returncode == 2, done.stdout
    assert f"{path}:3:8: error: " in done.stderr
    assert says in done.stderr


# --- Layers -----------------------------------------------------------------------------------------------------------


def renamed(arch, **more):
    """The tiny model under the name of another architecture; more as of ggufs.llama(), without the architecture."""
    pairs, tensors = ggufs.llama()
    pairs = {name.replace("llama.", f"{arch}.", 1) if name.startswith("llama.") else name: v for name, v in pairs.items()}
    pairs["general.architecture"] = arch
    return {**pairs, **{f"{arch}." + name.replace("__", "."): value for name, value in more.items()}}, tensors


def count(pairs, tensors, n_in, n_out, windows=None, width=None):
    """Operations of a request, step by step and layer by layer. windows: of each layer, None all; width: of a query head
    with its value, where it is not 64 over the heads."""
    arch = pairs["general.architecture"]
    layers, d = pairs[f"{arch}.block_count"], pairs[f"{arch}.embedding_length"]
    heads = pairs[f"{arch}.attention.head_count"]
    heads = heads if isinstance(heads, list) else [heads] * layers
    total = 0
    for step in range(n_out):
        tokens = n_in if step == 0 else 1
        for layer in range(layers):
            for name, (dims, _) in tensors.items():
                if name.startswith(f"blk.{layer}.") and len(dims) > 1:
                    total += 2 * tokens * dims[0] * dims[1] * (dims[2] if len(dims) > 2 else 1)
            for position in [n_in + step - 1] if step else range(n_in):
                seen = position + 1
                if windows and windows[layer]:
                    seen = min(seen, windows[layer])
                total += 2 * heads[layer] * seen * (width or 2 * d // heads[layer])
        total += 2 * d * len(pairs["tokenizer.ggml.tokens"])
    return total


def of_record(record, pairs, tensors, **more):
    lengths = zip(record["workload"]["input_tokens"], record["workload"]["output_tokens"], strict=True)
    return sum(count(pairs, tensors, n_in, n_out, **more) for n_in, n_out in lengths)


def kv_said_by_engine(study):
    """MiB of each cache, as libllama's log has them."""
    log = (study.runs[0] / "engine.log").read_text()
    return sum(float(size) for size in re.findall(r"llama_kv_cache: size = +([\d.]+) MiB", log))


def layered(kv_heads, ffn):
    """The tiny model as an architecture that has key/value heads and widths of its own in each layer."""
    pairs, tensors = renamed("deci", attention__head_count_kv=kv_heads, feed_forward_length=ffn)
    for layer in range(2):
        for name in ("attn_k", "attn_v"):
            tensors[f"blk.{layer}.{name}.weight"] = ([64, 32 * kv_heads[layer]], None)
        for name in ("ffn_gate", "ffn_up"):
            tensors[f"blk.{layer}.{name}.weight"] = ([64, ffn[layer]], None)
        tensors[f"blk.{layer}.ffn_down.weight"] = ([ffn[layer], 64], None)
    return pairs, tensors


@pytest.mark.parametrize("flash", ["on", "off"])
def test_layers_that_differ_are_summed(run, tmp_path, flash):
    """Operations and the cache's size; the size is what the engine says, and a model all the same."""
    pairs, tensors = layered([1, 2], [96, 160])
    model = ggufs.write(tmp_path / "m.gguf", pairs, tensors)
    _, study = run({"model": str(model), "llamacpp.n_ctx": 16384, "llamacpp.flash_attn": flash})
    record = study.result()
    assert record["model"]["n_kv_heads"] == [1, 2]
    assert record["model"]["d_ffn"] == [96, 160]
    assert metric(record, "flops")["status"] == "modelled"
    assert metric(record, "flops")["value"] == of_record(record, pairs, tensors)
    values = 3 if flash == "on" else 4  # without flash attention every layer's are as wide as the widest
    cache = metric(record, "kv_cache_mb")
    assert cache["value"] == 16384 * 32 * (3 + values) * 2 / 1e6
    assert (cache["status"], cache["method"]) == ("modelled", "model_shapes")
    assert abs(kv_said_by_engine(study) - cache["value"] * 1e6 / 2**20) <= 0.01


def test_the_size_of_a_plain_cache_is_the_engines(run, tmp_path):
    model = ggufs.write(tmp_path / "m.gguf", *ggufs.llama())
    _, study = run({"model": str(model), "llamacpp.n_ctx": 16384, "llamacpp.type_k": "q8_0"})
    cache = metric(study.result(), "kv_cache_mb")
    assert cache["status"] == "modelled"
    assert abs(kv_said_by_engine(study) - cache["value"] * 1e6 / 2**20) <= 0.01


@pytest.mark.parametrize("key", ["attention.head_count", "attention.head_count_kv", "feed_forward_length"])
@pytest.mark.parametrize("values", [[1], [2, 2, 2], [2, -1]])
def test_an_array_of_another_length_is_located(llem, tmp_path, key, values):
    """In the study, and in the file by its byte."""
    pairs, tensors = ggufs.llama()
    pairs[f"llama.{key}"] = values
    model = ggufs.write(tmp_path / "m.gguf", pairs, tensors)
    path = tmp_path / "s.yaml"
    path.write_text(f"backend: llamacpp\nn: 2\nmodel: {model}\n")
    done = llem.run("config", "check", path)
    assert done.returncode == 2
    begins = model.read_bytes().index(f"llama.{key}".encode()) + len(f"llama.{key}") + 4 + 12
    what = "holds a number below 0" if -1 in values else f"has {len(values)} elements for 2 layers"
    assert f"{path}:3:8: error: {model}: byte {begins}: 'llama.{key}' {what}: the header is damaged" in done.stderr


# --- Windows, latent attention, states --------------------------------------------------------------------------------


WINDOWS = {
    "by the file": (renamed("any", attention__sliding_window=3, attention__sliding_window_pattern=[True, False]), [3, 0]),
    "by a period": (renamed("any", attention__sliding_window=3, attention__sliding_window_pattern=2), [3, 0]),
    "by its kind": (renamed("gpt-oss", attention__sliding_window=3), [3, 0]),
    "wider than the work": (renamed("gpt-oss", attention__sliding_window=4096), [4096, 0]),
}


@pytest.mark.parametrize("case", WINDOWS)
def test_a_window_bounds_what_is_attended_to(llem, run, tmp_path, case):
    (pairs, tensors), windows = WINDOWS[case]
    takes(llem, "gguf")
    model = ggufs.write(tmp_path / "m.gguf", pairs, tensors)
    _, study = run({"backend": "toy", "model": str(model)})
    record = study.result()
    assert metric(record, "flops")["value"] == of_record(record, pairs, tensors, windows=windows)
    assert metric(record, "flops")["status"] == "modelled"
    assert record["model"]["window"] == windows


def latent():
    """A small latent model as llama.cpp's converter writes them: keys and values are one vector of 48 + 16."""
    more = {
        "attention__head_count_kv": 1, "attention__kv_lora_rank": 48, "attention__q_lora_rank": 32,
        "attention__key_length": 64, "attention__value_length": 48, "attention__key_length_mla": 40,
        "attention__value_length_mla": 24, "rope__dimension_count": 16, "leading_dense_block_count": 1, "expert_count": 4,
        "expert_used_count": 2, "expert_shared_count": 1, "expert_feed_forward_length": 32,
    }  # fmt: skip
    pairs, tensors = renamed("deepseek2", **more)
    other = re.compile(r"attn_[qkvo]|blk.1.ffn_(gate|up|down)")
    tensors = {name: t for name, t in tensors.items() if not other.search(name)}
    attention = {
        "attn_q_a": [64, 32], "attn_q_a_norm": [32], "attn_q_b": [32, 80], "attn_kv_a_mqa": [64, 64],
        "attn_kv_a_norm": [48], "attn_k_b": [24, 48, 2], "attn_v_b": [48, 24, 2], "attn_output": [48, 64],
    }  # fmt: skip
    experts = {
        "ffn_gate_exps": [64, 32, 4], "ffn_up_exps": [64, 32, 4], "ffn_down_exps": [32, 64, 4], "ffn_gate_inp": [64, 4],
        "ffn_gate_shexp": [64, 32], "ffn_up_shexp": [64, 32], "ffn_down_shexp": [32, 64],
    }  # fmt: skip
    tensors |= {f"blk.{layer}.{name}.weight": (dims, None) for layer in range(2) for name, dims in attention.items()}
    tensors |= {f"blk.1.{name}.weight": (dims, None) for name, dims in experts.items()}
    return pairs, tensors


def test_latent_attention_and_experts_by_their_shapes(run, tmp_path):
    """Each token goes to two of four experts; every query head reads the one latent vector, which alone is cached."""
    pairs, tensors = latent()
    model = ggufs.write(tmp_path / "m.gguf", pairs, tensors)
    _, study = run({"model": str(model), "llamacpp.n_ctx": 16384})
    record = study.result()
    used = {name: ([*dims[:2], 2], data) if "_exps" in name else (dims, data) for name, (dims, data) in tensors.items()}
    assert metric(record, "flops")["value"] == of_record(record, pairs, used, width=64 + 48)
    assert record["model"]["latent_cache"] is True
    assert metric(record, "kv_cache_mb")["value"] == 16384 * 64 * 2 * 2 / 1e6
    assert abs(kv_said_by_engine(study) - 16384 * 64 * 2 * 2 / 2**20) <= 0.01


def test_layers_with_a_window_hold_every_position_in_llama_cpp(run, tmp_path):
    """Its own default for them; the operations are those within the window."""
    pairs, tensors = renamed("cohere2", attention__sliding_window=6, attention__sliding_window_pattern=2, logit_scale=1.0,
                             attention__layer_norm_epsilon=1e-5)  # fmt: skip
    tensors = {name: t for name, t in tensors.items() if "ffn_norm" not in name}
    model = ggufs.write(tmp_path / "m.gguf", pairs, tensors)
    _, study = run({"model": str(model), "llamacpp.n_ctx": 16384})
    record = study.result()
    assert metric(record, "flops")["value"] == of_record(record, pairs, tensors, windows=[6, 0])
    assert metric(record, "kv_cache_mb")["value"] == 16384 * 64 * 2 * 2 / 1e6
    assert abs(kv_said_by_engine(study) - 16384 * 64 * 2 * 2 / 2**20) <= 0.01


STATES = {
    "mamba": renamed("mamba", ssm__state_size=16, ssm__inner_size=128, ssm__conv_kernel=4),
    "jamba": renamed("jamba", ssm__state_size=16, attention__head_count_kv=[0, 1]),
    "rwkv": renamed("rwkv7", wkv__head_size=32),
    "lfm2": renamed("lfm2", shortconv__l_cache=3, attention__head_count_kv=[0, 1]),
    "sparse": renamed("deepseek32", attention__indexer__top_k=64),
    "shared": renamed("gemma3n", attention__shared_kv_layers=1, attention__sliding_window=4),
    "encoder": renamed("t5", decoder_block_count=2),
    "chunks": renamed("llama4", attention__chunk_size=8192),
    "both ways": renamed("bert", attention__causal=False),
    "a window that nobody places": renamed("any", attention__sliding_window=4),
}
SAYS = {"mamba": "recurrent", "jamba": "recurrent", "rwkv": "recurrent", "lfm2": "recurrent", "sparse": "an index picks",
        "shared": "keys and values of earlier ones", "encoder": "encoder", "chunks": "chunks",
        "both ways": "before and behind it", "a window that nobody places": "does not tell which layers"}  # fmt: skip


@pytest.mark.parametrize("case", STATES)
def test_operations_without_a_rule_are_absent_with_the_reason(llem, run, tmp_path, case):
    takes(llem, "gguf")
    model = ggufs.write(tmp_path / "m.gguf", *STATES[case])
    _, study = run({"backend": "toy", "model": str(model)})
    flops = metric(study.result(), "flops")
    assert flops["status"] == "absent"
    assert SAYS[case] in flops["reason"]


HF = {
    "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 256,
    "intermediate_size": 128,
}  # fmt: skip
PLAIN = 64 * 64 * 2 + 2 * 64 * 32 + 3 * 64 * 128  # elements of a layer
FOLDERS = {
    "plain": ({}, [PLAIN] * 4, 32, [0] * 4),
    "window, all": ({"model_type": "mistral", "sliding_window": 3}, [PLAIN] * 4, 32, [3] * 4),
    "window, switched off": ({"model_type": "qwen2", "sliding_window": 3, "use_sliding_window": False,
                              "max_window_layers": 2}, [PLAIN] * 4, 32, [0] * 4),
    "window, above": ({"model_type": "qwen2", "sliding_window": 3, "use_sliding_window": True, "max_window_layers": 2},
                      [PLAIN] * 4, 32, [0, 0, 3, 3]),
    "window, a period": ({"model_type": "gemma3_text", "sliding_window": 3, "sliding_window_pattern": 4}, [PLAIN] * 4, 32,
                         [3, 3, 3, 0]),
    "window, listed": ({"sliding_window": 3, "layer_types": ["full_attention", "sliding_attention"] * 2}, [PLAIN] * 4, 32,
                       [0, 3, 0, 3]),
    "latent": ({"kv_lora_rank": 48, "q_lora_rank": None, "qk_nope_head_dim": 24, "qk_rope_head_dim": 16, "v_head_dim": 24,
                "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "n_shared_experts": 1,
                "first_k_dense_replace": 1},
               [64 * 160 + 64 * 64 + 48 * 4 * 48 + 96 * 64 + mlp
                for mlp in (3 * 64 * 128, *[3 * 64 * 32 * 3 + 64 * 4] * 3)], 64, [0] * 4),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLDERS)
def test_operations_of_a_folder(llem, run, tmp_path, case):
    more, elements, width, windows = FOLDERS[case]
    takes(llem, "folder")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**HF, **more}))
    _, study = run({"backend": "toy", "model": str(folder)})
    record = study.result()
    total = 0
    for n_in, n_out in zip(record["workload"]["input_tokens"], record["workload"]["output_tokens"], strict=True):
        total += 2 * 64 * 256 * n_out
        for layer in range(4):
            for position in range(n_in + n_out - 1):
                seen = min(position + 1, windows[layer]) if windows[layer] else position + 1
                total += 2 * elements[layer] + 2 * 4 * width * seen
    assert metric(record, "flops")["value"] == total
    assert metric(record, "flops")["status"] == "modelled"


@pytest.mark.parametrize(
    "more",
    [
        {"mamba_d_state": 16},
        {"layer_types": ["linear_attention"] * 4},
        {"index_topk": 8},
        {"kv_lora_rank": 48},
        {"sliding_window": 3},
        {"is_encoder_decoder": True},
    ],
)
def test_a_folder_without_a_rule_says_so(llem, run, tmp_path, more):
    takes(llem, "folder")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**HF, **more}))
    _, study = run({"backend": "toy", "model": str(folder)})
    flops = metric(study.result(), "flops")
    assert flops["status"] == "absent"
    assert len(flops["reason"]) > 20


def test_reading_a_large_model_says_how_far_it_is(llem, tmp_path):
    """On a terminal in one line that is gone afterwards; elsewhere once."""
    model = tmp_path / "large.gguf"
    ggufs.write(model, *ggufs.llama())
    os.truncate(model, 1 << 30)  # holes, which are read all the same
    path = write(tmp_path / "s.yaml", {**QUICK, "backend": "llamacpp", "model": str(model)})
    done = llem.run("config", "show", path)
    assert done.stderr.count("reading large.gguf for its SHA-256, which is kept: 1.1 GB") == 1, done.stderr
    assert "reading large.gguf" not in llem.run("config", "show", path).stderr  # it was kept
    os.utime(model)
    ours, its = pty.openpty()
    process = llem.start("config", "show", path, stderr=its)
    os.close(its)
    process.communicate(timeout=120)
    said = os.read(ours, 65536).decode()
    os.close(ours)
    shown = re.findall(r"\r\x1b\[Kllem: reading large.gguf for its SHA-256: (\d+) % of 1.1 GB", said)
    assert shown and all(0 < int(a) <= int(b) < 100 for a, b in zip(shown, shown[1:] + shown[-1:], strict=True)), said
    assert said.rpartition("GB")[2].startswith("\r\x1b[K"), said
