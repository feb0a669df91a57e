"""PyTorch's adapter on stand-ins for torch and transformers (fake_torch): what needs a GPU, a package that is not here, or an
engine that does what it was not asked for."""

import os
import signal
import time
from pathlib import Path

import pytest

import adapters
import fakes

from support import ROOT

ADAPTER = ROOT / "engines" / "pytorch" / "pytorch_adapter.py"
PROMPTS = [([5, 6, 7, 8], 3, True), ([9], 3, True)]


@pytest.fixture
def model(tmp_path):
    return fakes.model(tmp_path)


@pytest.fixture
def pytorch(tmp_path):
    """pytorch(words, **environment): an adapter; pytorch.noted(): what the engine was given."""
    started = []
    calls = tmp_path / "calls"
    calls.mkdir()

    def start(words="", **env):
        env = {"LLEM_FAKE_TORCH": words, "LLEM_TEST_RECORDING": str(calls), **env}
        started.append(adapters.Spoken(["python3", ADAPTER], tmp_path, env, [fakes.folder_of("torch")]))
        return started[-1]

    start.noted = lambda: fakes.noted(calls)
    yield start
    for spoken in started:
        spoken.close()


# --- where it is computed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words, env, options, asked, used, why", [
    ("", {"CUDA_VISIBLE_DEVICES": "GPU-1"}, {}, "CUDA_VISIBLE_DEVICES=GPU-1", "cpu", "sees no CUDA device"),
    ("", {}, {"device": "cuda:1"}, "cuda:1", "cpu", "sees no CUDA device"),
    ("cuda stays-on-cpu", {}, {}, "cuda:0", "cpu", "the weights are there"),
])
def test_it_is_never_silently_on_the_cpu(pytorch, model, words, env, options, asked, used, why):
    refused = pytorch(words, **env).load(model, options=options)
    assert refused["class"] == "Substitution" and asked in refused["message"] and why in refused["message"], refused
    allowed = pytorch(words, **env).load(model, allow_substitution=True, options=options)
    assert (allowed["device"], allowed["resolved"]["device"]) == ("cpu", "cpu")
    row = allowed["substitutions"][0]
    assert (row["what"], row["requested"], row["used"]) == ("device", asked, used) and why in row["reason"]


@pytest.mark.parametrize("words, options, device", [
    ("cuda", {}, "cuda:0"), ("cuda", {"device": "cuda:1"}, "cuda:1"), ("cuda", {"device": "cpu"}, "cpu"), ("", {}, "cpu"),
    ("cuda", {"load_in_4bit": True}, "cuda:0"), ("cuda", {"device_map": "auto"}, "cuda:0"),
])
def test_the_device_is_in_the_answer(pytorch, model, words, options, device):
    loaded = pytorch(words).load(model, options=options)
    assert (loaded["resolved"]["device"], loaded["device"]) == (device, "cpu" if device == "cpu" else "gpu"), loaded


def test_a_quantised_model_is_never_moved(pytorch, model):
    """Such a model is put in its place as it is loaded: bitsandbytes refuses a move."""
    assert pytorch("cuda").load(model, options={"load_in_8bit": True})["type"] == "load"
    noted = pytorch.noted()
    assert "to" not in noted and noted["from_pretrained.device_map"] == ["{'': cuda:0}"]


def test_nor_is_a_quantised_assistant(pytorch, model):
    loaded = pytorch("cuda").load(model, options={"load_in_8bit": True, "assistant_model": str(model)})
    assert loaded["type"] == "load", loaded
    noted = pytorch.noted()
    assert "to" not in noted and noted["from_pretrained.device_map"] == ["{'': cuda:0}"] * 2


def test_parts_on_the_cpu_are_told(pytorch, model):
    """A map of devices that leaves layers on the CPU: the energy of the board alone is not that of the model."""
    loaded = pytorch("cuda offloads").load(model, options={"device_map": "auto"})
    assert (loaded["device"], loaded["devices"]) == ("gpu", ["gpu", "cpu"])


# --- what is used instead ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words, kernel, precision, used", [
    ("no-flash", "flash_attention_2", "bf16", "sdpa"), ("no-flash", "flash_attention_3", "fp16", "sdpa"),
    ("only-eager", "sdpa", "fp32", "eager"),
])
def test_another_attention_kernel_is_a_substitution(pytorch, model, words, kernel, precision, used):
    config = {"options": {"attn_implementation": kernel}, "precision": precision}
    refused = pytorch(words).load(model, **config)
    assert refused["class"] == "Substitution" and f"'{kernel}' was asked for, '{used}' would be used" in refused["message"], refused
    allowed = pytorch(words).load(model, allow_substitution=True, **config)
    assert allowed["resolved"]["attn_implementation"] == used
    assert [row["what"] for row in allowed["substitutions"]] == ["attn_implementation"]


def test_another_precision_is_a_substitution(pytorch, model):
    refused = pytorch("keeps-fp32").load(model, precision="bf16")
    assert refused["class"] == "Substitution" and "'bf16' was asked for, 'float32' would be used" in refused["message"], refused
    allowed = pytorch("keeps-fp32").load(model, precision="bf16", allow_substitution=True)
    assert (allowed["resolved"]["precision"], allowed["resolved"]["dtype"]) == ("bf16", "float32")


# --- time ----------------------------------------------------------------------------------------------------------------


def test_stamps_of_a_gpu_are_those_of_the_monotonic_clock_and_nobody_waits_for_a_step(pytorch, model):
    """The clock of the stand-in's events has another beginning and another pace. The GPU is waited for before the work and
    after it, whatever the number of steps."""
    waits = {}
    for steps in (3, 30):
        spoken = pytorch("cuda")
        spoken.load(model)
        before = len(pytorch.noted().get("cuda.synchronize", []))
        outcome = spoken.work(1, ([5, 6], steps, True), ([7], steps, True))
        window, rows = outcome["batches"][0], outcome["requests"]
        for row in rows:
            stamps = row["stamps_ns"]
            assert len(stamps) == len(row["token_ids"]) == steps
            assert window["t0_ns"] < stamps[0] and stamps == sorted(stamps) and stamps[-1] <= window["t1_ns"]
            gaps = [b - a for a, b in zip(stamps, stamps[1:], strict=False)]
            assert min(gaps) > 0.5e6  # a step of the stand-in takes 2 ms; an anchor may be late on a busy machine
        assert outcome["merged_chunks"] == 0 and rows[0]["stamps_ns"] == rows[1]["stamps_ns"]
        waits[steps] = len(pytorch.noted()["cuda.synchronize"]) - before
    assert waits[3] == waits[30] <= 3


def test_stamps_of_guessed_tokens_are_shared(pytorch, model):
    """Three tokens a step: all of a step carry its stamp, and each is a token."""
    spoken = pytorch()
    spoken.load(model, options={"prompt_lookup_num_tokens": 2})
    outcome = spoken.work(1, ([5, 6], 8, True))
    row = outcome["requests"][0]
    assert len(row["token_ids"]) == 8 and outcome["merged_chunks"] == 3
    assert [row["stamps_ns"].count(stamp) for stamp in sorted(set(row["stamps_ns"]))] == [3, 3, 2]


@pytest.mark.parametrize("options, lengths", [
    ({}, ["8", "4"]), ({"padding": "max_length"}, ["8"]), ({"torch_compile": False}, []),
])
def test_compiling_is_in_the_load_and_told(pytorch, model, options, lengths):
    """Called in the shapes of the work: as many prompts as a batch has, of one length where all have one."""
    loaded = pytorch().load(model, options={"torch_compile": True, "batch_size": 3, **options}, max_input_tokens=8)
    noted = pytorch.noted()
    assert (noted.get("generate.length", []), set(noted.get("generate.rows", []))) == (lengths, {"3"} if lengths else set())
    if lengths:
        at = loaded["compile"]
        assert loaded["t0_ns"] < at["t0_ns"] < at["t1_ns"] - 8e6 * len(lengths) and at["t1_ns"] <= loaded["t1_ns"]
    else:
        assert loaded["compile"] is None


def test_a_batch_says_when_it_begins(pytorch, model):
    """Of two parts of a batch the second begins when the first is out; both were handed over together."""
    spoken = pytorch()
    spoken.load(model, options={"max_batch_tokens": 4})
    outcome = spoken.work(1, *PROMPTS)
    begin, (first, second) = outcome["batches"][0]["t0_ns"], outcome["requests"]
    for row in (first, second):
        stamps = row["engine_stamps"]
        assert begin == stamps["queued_ns"] <= stamps["scheduled_ns"] < row["stamps_ns"][0] - 1e6  # a step takes 2 ms
    assert second["engine_stamps"]["scheduled_ns"] >= first["stamps_ns"][-1]


# --- tokens --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options, padded", [
    ({}, 3), ({"padding": "max_length"}, 11), ({"max_batch_tokens": 7}, 0), ({"max_batch_tokens": 8}, 3),
])
def test_padding_is_no_token(pytorch, model, options, padded):
    """Prompts of four tokens and of one: the padding is in no count but its own."""
    spoken = pytorch()
    spoken.load(model, options=options, max_input_tokens=8)
    outcome = spoken.work(1, *PROMPTS)
    assert [row["n_in"] for row in outcome["requests"]] == [4, 1]
    assert [len(row["token_ids"]) for row in outcome["requests"]] == [3, 3]
    assert outcome["batches"][0]["n_padded"] == padded


def test_steps_behind_the_last_token_of_a_request_are_padding(pytorch, model):
    spoken = pytorch()
    spoken.load(model)
    outcome = spoken.work(1, ([5], 2, True), ([6], 7, True), ([7], 7, False))
    assert [len(row["token_ids"]) for row in outcome["requests"]] == [2, 7, 2]
    assert [row["finish"] for row in outcome["requests"]] == ["length", "length", "stop"]
    assert outcome["batches"][0]["n_padded"] == 5 + 0 + 5


def test_the_seed_is_set_for_each_batch(pytorch, model):
    spoken = pytorch()
    spoken.load(model, random_seed=7)
    before = pytorch.noted()["manual_seed"]
    spoken.work(1, *PROMPTS)
    spoken.work(2, *PROMPTS)
    assert set(before) == {"7"} and pytorch.noted()["manual_seed"] == before + ["7", "7"]


def test_no_value_of_the_model_s_folder_or_of_transformers_fills_a_gap(pytorch, model):
    """top_k would be 50, a static cache would be compiled, the end of a sequence would end a batch."""
    spoken = pytorch()
    spoken.load(model, decoder={"temperature": 0.5, "do_sample": True}, options={"cache_implementation": "static"})
    spoken.work(1, *PROMPTS)
    given = {name.removeprefix("generation."): value[-1] for name, value in pytorch.noted().items() if name.startswith("generation.")}
    assert (given["top_k"], given["top_p"], given["min_p"]) == ("0", "1.0", "None")
    assert (given["disable_compile"], given["eos_token_id"]) == ("True", "None")


@pytest.mark.parametrize("options, config, answer", [
    ({"prefill_chunk_size": 16}, {}, {"prefill_chunk_size": "16"}),
    ({"typical_p": 0.5}, {"decoder": {"temperature": 1.0, "do_sample": True}}, {"typical_p": "0.5"}),
    ({"typical_p": 0.5}, {}, "'typical_p' does nothing here: it is of sampling"),
    ({"max_cache_len": 64}, {}, "'max_cache_len' does nothing here: it is of a static cache"),
    ({"typical_p": "much"}, {}, "'typical_p' must be a number, not a string"),
    ({"num_return_sequences": 2}, {}, "there is no 'num_return_sequences'"),
    ({"prefil_chunk_size": 16}, {}, "there is no 'prefil_chunk_size'"),
])
def test_other_parameters_of_the_installed_engine_reach_it_or_are_refused(pytorch, model, options, config, answer):
    """Its own schema has them; what would make other work, such as several answers to a prompt, is not among them."""
    spoken = pytorch()
    reply = spoken.load(model, options=options, **config)
    if isinstance(answer, str):
        assert reply["type"] == "error" and answer in reply["message"], reply
        return
    assert reply["resolved"].items() >= options.items()
    spoken.work(1, *PROMPTS)
    noted = pytorch.noted()
    assert {name: noted[f"generation.{name}"][-1] for name in answer} == answer


# --- memory, builds ------------------------------------------------------------------------------------------------------


def test_peak_memory_of_a_gpu_is_the_allocator_s(pytorch, model):
    spoken = pytorch("cuda")
    figures = spoken.load(model)["memory"]
    assert (figures["peak_bytes"], figures["reserved_peak_bytes"], figures["device_bytes"]) == (123_000_000, 246_000_000, 20 << 30)
    assert spoken.ok("reset", peak_memory=True)["peak_memory"] is True
    assert pytorch.noted()["cuda.reset_peak_memory_stats"] == ["0"]


def test_peak_memory_on_the_cpu_is_absent_with_the_reason(pytorch, model):
    spoken = pytorch()
    assert spoken.load(model)["memory"]["peak_bytes"] == "PyTorch keeps no account of its memory on the CPU"
    assert spoken.ok("reset", peak_memory=True)["peak_memory"] is False


def test_memory_that_ran_out_is_told(pytorch, model):
    spoken = pytorch("out-of-memory")
    spoken.load(model)
    spoken.ok("prepare", batch=1, requests=[{"id": "a", "token_ids": [5], "max_tokens": 2}])
    answer = spoken.ask("generate", batches=[1])
    assert (answer["class"], answer["oom"]) == ("OutOfMemory", True)
    assert spoken.end() == 0


def test_versions_and_builds(pytorch, model):
    spoken = pytorch("prints")
    hello = spoken.ok("hello", protocol=1)
    assert hello["libraries"]["torch"] == "2.13.0+fake" and hello["engine_version"] == "5.19.0"
    loaded = spoken.load(model)
    assert set(loaded["facts"]["builds"]) >= {"torch", "transformers"} and len(loaded["facts"]["builds"]["torch"]) == 64
    spoken.work(1, *PROMPTS)
    assert spoken.out.read_text() == "" and "printed by the engine" in spoken.err.read_text()


# --- ranks ---------------------------------------------------------------------------------------------------------------

RANKS = {"tp_plan": "auto", "tp_size": 3}


def is_alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pids, seconds=8):
    end = time.monotonic() + seconds
    while any(map(is_alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return [pid for pid in pids if is_alive(pid)]


def test_ranks_are_processes_and_all_do_the_work(pytorch, model):
    spoken = pytorch("cuda")
    loaded = spoken.load(model, options=RANKS)
    assert len(set(loaded["pids"])) == 3 and spoken.process.pid in loaded["pids"] and loaded["weights_bytes"] == 3 * 4000
    outcome = spoken.work(1, *PROMPTS)
    assert [len(row["token_ids"]) for row in outcome["requests"]] == [3, 3]
    noted = pytorch.noted()
    assert sorted(noted["distributed.rank"]) == ["0 of 3", "1 of 3", "2 of 3"] and len(noted["generate.rows"]) == 3
    assert spoken.end() == 0 and wait_until_gone(loaded["pids"]) == []


def peak_of(pid):
    """Bytes that a process had resident at most."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return 1024 * int(status["VmHWM"].split()[0])


def test_memory_is_that_of_every_rank(pytorch, model):
    """Of the allocator the most of any, of processes and boards the sum; and every rank's peak begins anew."""
    one, three = pytorch("cuda"), pytorch("cuda a-rank-has-more")
    alone = one.load(model)["memory"]
    figures = three.load(model, options=RANKS)["memory"]
    assert (figures["peak_bytes"], figures["reserved_peak_bytes"]) == (2 * alone["peak_bytes"], 2 * alone["reserved_peak_bytes"])
    assert figures["device_bytes"] == 3 * alone["device_bytes"]
    assert figures["rss_peak_bytes"] > peak_of(three.process.pid) + 10e6  # the other two have an interpreter each
    assert three.ok("reset", peak_memory=True)["peak_memory"] is True
    assert sorted(pytorch.noted()["cuda.reset_peak_memory_stats"]) == ["0", "1", "2"]


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_rank_that_fails_is_an_error_in_its_own_words(pytorch, model, comes_back):
    """Whether what the first rank waits for ends by itself, or never."""
    spoken = pytorch("rank-fails comes-back" if comes_back else "rank-fails")
    pids = spoken.load(model, options=RANKS)["pids"]
    spoken.ok("prepare", batch=1, requests=[{"id": "a", "token_ids": [5], "max_tokens": 9, "ignore_eos": True}])
    answer = spoken.ask("generate", timeout=12, batches=[1])
    assert (answer.get("class"), answer["message"]) == ("RankFailed", "rank 1: ValueError: no luck")
    if comes_back:
        answer = spoken.ask("memory")
        assert answer.get("class") == "BadOrder" and "when a rank failed" in answer["message"]
        assert spoken.end() == 0
    assert spoken.process.wait(10) == (0 if comes_back else 1) and wait_until_gone(pids) == []


def test_a_rank_that_is_killed_is_told(pytorch, model):
    spoken = pytorch()
    pids = spoken.load(model, options=RANKS)["pids"]
    spoken.ok("prepare", batch=1, requests=[{"id": "a", "token_ids": [5], "max_tokens": 100000, "ignore_eos": True}])
    spoken.send("generate", batches=[1])
    time.sleep(0.3)
    os.kill(next(pid for pid in pids if pid != spoken.process.pid), signal.SIGKILL)
    answer = spoken.reply(12)
    assert answer.get("class") == "RankFailed" and "ended with status -9" in answer["message"]
    assert spoken.end() == 0 and wait_until_gone(pids) == []


@pytest.mark.parametrize("how", ["adapter", "term", "socket"])
def test_no_rank_is_left(pytorch, model, how):
    spoken = pytorch()
    pids = spoken.load(model, options=RANKS)["pids"]
    spoken.ok("prepare", batch=1, requests=[{"id": "a", "token_ids": [5], "max_tokens": 100000, "ignore_eos": True}])
    spoken.send("generate", batches=[1])
    time.sleep(0.3)
    if how == "adapter":
        os.kill(spoken.process.pid, signal.SIGKILL)
    elif how == "term":
        os.kill(spoken.process.pid, signal.SIGTERM)
    else:
        spoken.sock.close()
    assert spoken.process.wait(10) == {"adapter": -9, "term": 0, "socket": 0}[how]
    assert wait_until_gone(pids) == []


def test_an_abort_stops_every_rank_and_the_model_stays(pytorch, model):
    spoken = pytorch()
    spoken.load(model, options=RANKS)
    spoken.ok("prepare", batch=1, requests=[{"id": "a", "token_ids": [5], "max_tokens": 100000, "ignore_eos": True}])
    number = spoken.send("generate", batches=[1])
    time.sleep(0.3)
    spoken.send("abort")
    answers = [spoken.reply(), spoken.reply()]
    assert (answers[0]["id"], answers[0].get("class"), answers[1]["type"]) == (number, "Aborted", "abort"), (answers, spoken.said())
    assert [len(row["token_ids"]) for row in spoken.work(2, *PROMPTS)["requests"]] == [3, 3]


def test_ranks_need_a_number(pytorch, model):
    answer = pytorch().load(model, options={"tp_plan": "auto"})
    assert answer["class"] == "BadValue" and "tp_size" in answer["message"]


# --- resolved ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options, filled", [
    ({}, {"n_threads": 2, "no_repeat_ngram_size": 0}),
    ({"num_beams": 2}, {"early_stopping": False, "length_penalty": 1.0}),
    ({"prompt_lookup_num_tokens": 3}, {"max_matching_ngram_size": 2}),
    ({"autocast_enabled": True}, {"autocast_dtype": "bfloat16"}),
    ({"load_in_4bit": True}, {"bnb_4bit_quant_type": "fp4", "bnb_4bit_compute_dtype": "float32", "bnb_4bit_use_double_quant": False}),
    ({"load_in_8bit": True}, {"llm_int8_threshold": 6.0}),
    ({"no_repeat_ngram_size": 3, "n_threads": 1}, {"no_repeat_ngram_size": 3, "n_threads": 1}),
])
def test_what_nobody_wrote_is_resolved_where_it_acts(pytorch, model, options, filled):
    reply = pytorch().load(model, options=options)
    assert reply["type"] == "load" and reply["resolved"].items() >= filled.items(), reply
    others = {"early_stopping", "max_matching_ngram_size", "autocast_dtype", "bnb_4bit_quant_type", "llm_int8_threshold"} - set(filled)
    assert not others & set(reply["resolved"])
    assert reply["facts"]["float32_matmul_precision"] == "highest"


def test_where_the_parts_of_a_model_went_is_resolved(pytorch, model):
    reply = pytorch("cuda offloads").load(model, options={"device_map": "auto"})
    assert reply["resolved"]["device_map"] == {"layers.0": "0", "layers.1": "cpu"} and reply["devices"] == ["gpu", "cpu"]


def test_a_mode_and_options_of_the_compiler_exclude_each_other(pytorch, model):
    options = {"torch_compile": True, "torch_compile_mode": "max-autotune", "compile_config.options": {"max_autotune": True}}
    reply = pytorch().load(model, options=options)
    assert reply["class"] == "BadValue" and "not both" in reply["message"]
