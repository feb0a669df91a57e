"""PyTorch's adapter on the real torch and transformers (tools/setup-engines.sh), on the CPU."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

import adapters

from support import ROOT

ADAPTER = ROOT / "engines" / "pytorch" / "pytorch_adapter.py"
FRANCE = [504, 3575, 282, 4649, 314]  # "The capital of France is"
# What a loop of forward passes and argmax says to it in fp32: token 2 ends a text, and is a token like others here.
REFERENCE = [7042, 30, 198, 198, 504, 2988, 314, 42, 216, 34, 32, 33, 40, 29, 32, 33, 29, 34, 34, 216, 33, 34, 42, 33, 34, 42, 37, 35, 30,
             2, 198, 1]
pytestmark = pytest.mark.engines

TINY = """
import sys, torch
from transformers import LlamaConfig, LlamaForCausalLM
for name, seed in (("tiny", 7), ("tinier", 8)):
    torch.manual_seed(seed)
    LlamaForCausalLM(LlamaConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                                 num_key_value_heads=2, vocab_size=512, max_position_embeddings=512, eos_token_id=2,
                                 initializer_range=0.3)).save_pretrained(f"{sys.argv[1]}/{name}")
"""


@pytest.fixture(scope="module")
def python():
    path = os.environ.get("LLEM_TEST_ENGINES_PYTHON")
    if not path:
        pytest.skip(f"wheels: {os.environ.get('LLEM_TEST_NO_ENGINES', 'LLEM_TEST_ENGINES_PYTHON is not set')}")
    return path


@pytest.fixture(scope="module")
def smol():
    cache = os.environ.get("LLEM_MODELS_DIR", os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")) + "/llem/models")
    folder = Path(cache) / "smollm2-135m-instruct" / "SmolLM2-135M-Instruct"
    if not folder.exists():
        pytest.skip(f"wheels: {folder} is not there: tools/setup-engines.sh makes it")
    return folder


@pytest.fixture(scope="module")
def tiny(python, tmp_path_factory):
    """A folder with two random models of one vocabulary."""
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([python, "-c", TINY, folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def spoken(python, tmp_path_factory):
    """One process for all that do not end it: a second load takes the place of the first."""
    adapter = adapters.Spoken([python, ADAPTER], tmp_path_factory.mktemp("adapter"), {"CUDA_VISIBLE_DEVICES": ""})
    adapter.batch = 0
    adapter.ok("hello", protocol=1)
    yield adapter
    adapter.close()


def ask(spoken, model, options=None, **config):
    config = {"model_path": str(model), "options": {"n_threads": 1, **(options or {})}, **config}
    return spoken.ask("load", config=config)


def outcome(spoken, model, *requests, options=None, **config):
    answer = ask(spoken, model, options, **config)
    assert answer["type"] == "load", answer
    spoken.batch += 1
    return spoken.work(spoken.batch, *requests)


def ids(collected, i=0):
    return collected["requests"][i]["token_ids"]


# --- equal work ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [
    {}, {"padding": "max_length"}, {"attn_implementation": "eager"}, {"cache_implementation": "static"}, {"use_cache": False},
], ids=str)
def test_greedy_ids_are_those_of_a_loop_of_argmax(spoken, smol, options):
    """Whatever the engine calls the end of a text; min_new_tokens, which forbids that token, would say others."""
    collected = outcome(spoken, smol, (FRANCE, 32, True), options=options, max_input_tokens=8)
    assert ids(collected) == REFERENCE and collected["requests"][0]["finish"] == "length"
    assert collected["batches"][0]["n_padded"] == (3 if "padding" in options else 0)


GUESSES = {"lookup": {"prompt_lookup_num_tokens": 3}, "assisted": {"assistant_model": None, "num_assistant_tokens": 4}}


@pytest.mark.parametrize("guess", GUESSES.values(), ids=GUESSES)
def test_guessing_changes_no_token(spoken, smol, guess):
    """The same ids, so many of them, and each step that accepted several of them is a merged chunk."""
    guess = {name: str(smol) if value is None else value for name, value in guess.items()}
    collected = outcome(spoken, smol, (FRANCE, 32, True), options=guess)
    row = collected["requests"][0]
    assert row["token_ids"] == REFERENCE and len(row["stamps_ns"]) == 32
    runs = [row["stamps_ns"].count(stamp) for stamp in set(row["stamps_ns"])]
    assert collected["merged_chunks"] == sum(n > 1 for n in runs) > 0


def test_a_prompt_says_the_same_in_a_batch_of_others(spoken, smol):
    """Shorter ones are padded on the left, the padding is masked, and counted apart."""
    requests = [(FRANCE, 24, True), (FRANCE[:1] * 9, 24, True), (FRANCE[:2], 24, True)]
    together = outcome(spoken, smol, *requests, options={"batch_size": 3})
    assert ids(together) == REFERENCE[:24]
    assert together["batches"][0]["n_padded"] == 4 + 0 + 7
    alone = [ids(outcome(spoken, smol, request)) for request in requests[1:]]
    assert [ids(together, 1), ids(together, 2)] == alone


def test_a_penalty_does_not_see_the_padding(spoken, tiny):
    """The padding is the token that ends a text: a penalty on it would make other work of a shorter prompt."""
    penalty = {"decoder": {"repetition_penalty": 5.0}}
    requests = [([2, 2, 2, 5, 6, 9], 12, True), ([7, 8], 12, True)]
    together = outcome(spoken, tiny / "tiny", *requests, **penalty)
    assert ids(together, 1) == ids(outcome(spoken, tiny / "tiny", requests[1], **penalty))


def test_nor_does_what_repeats_no_sequence(spoken, tiny):
    """It would forbid the token of the padding to every shorter prompt, of which some say it."""
    short, long = [([first], 24, True) for first in range(3, 103)], (list(range(200, 206)), 24, True)
    options = {"no_repeat_ngram_size": 1}
    alone, padded = (outcome(spoken, tiny / "tiny", *short, *others, options=options) for others in ([], [long]))
    said = [ids(alone, i) for i in range(len(short))]
    assert [ids(padded, i) for i in range(len(short))] == said
    assert any(2 in row for row in said) and all(len(set(row)) == 24 for row in said)


@pytest.mark.parametrize("size", [1, 2])
def test_no_sequence_of_a_text_comes_twice(spoken, tiny, size):
    plain, ruled = (ids(outcome(spoken, tiny / "tiny", ([5, 6, 7], 200, True), options={"no_repeat_ngram_size": n})) for n in (0, size))
    for text, repeats in ((plain, True), (ruled, False)):
        text = [5, 6, 7, *text]
        parts = [tuple(text[i : i + size]) for i in range(len(text) - size + 1)]
        assert (len(set(parts)) < len(parts)) == repeats


def test_a_text_longer_than_the_model_can_hold_is_refused(spoken, tiny):
    assert ask(spoken, tiny / "tiny")["type"] == "load"
    request = {"id": "a", "token_ids": [5] * 12, "ignore_eos": True}
    answer = spoken.ask("prepare", batch=800, requests=[{**request, "max_tokens": 501}])
    assert answer.get("class") == "BadValue" and "12 + 501 tokens; the model has 512 positions" in answer["message"], answer
    assert spoken.ask("prepare", batch=800, requests=[{**request, "max_tokens": 500}])["type"] == "prepare"


def test_a_text_that_may_end_ends(spoken, smol):
    collected = outcome(spoken, smol, (FRANCE, 32, False), (FRANCE, 32, True))
    rows = collected["requests"]
    assert (rows[0]["token_ids"], rows[0]["finish"]) == (REFERENCE[:30], "stop")
    assert (rows[1]["token_ids"], rows[1]["finish"]) == (REFERENCE, "length")
    assert collected["batches"][0]["n_padded"] == 2
    longer = outcome(spoken, smol, (FRANCE, 32, False), decoder={"min_new_tokens": 32})
    assert len(ids(longer)) == 32 and 2 not in ids(longer) and ids(longer)[:29] == REFERENCE[:29]


def test_a_seed_makes_the_same_sample_again(spoken, tiny):
    warm = {"decoder": {"temperature": 1.0, "do_sample": True, "top_k": 0, "top_p": 1.0}}
    said = [ids(outcome(spoken, tiny / "tiny", ([5, 6], 16, True), random_seed=seed, **warm)) for seed in (1, 1, 2)]
    assert said[0] == said[1] != said[2]


def test_dynamic_batches_say_the_same(spoken, tiny):
    requests = [([5, 6, 7, 8], 6, True), ([9], 6, True), ([10, 11], 6, True)]
    whole, parts = (outcome(spoken, tiny / "tiny", *requests, options={"batch_size": 3, "max_batch_tokens": n}) for n in (None, 4))
    assert [ids(whole, i) for i in range(3)] == [ids(parts, i) for i in range(3)]
    assert (whole["batches"][0]["n_padded"], parts["batches"][0]["n_padded"]) == (5, 1)
    first, second = (parts["requests"][i]["stamps_ns"] for i in (0, 1))
    assert first[-1] < second[0]  # one part after the other


def test_beams(spoken, tiny):
    collected = outcome(spoken, tiny / "tiny", ([5, 6, 7], 8, True), ([9], 5, True), options={"num_beams": 3})
    assert [len(row["token_ids"]) for row in collected["requests"]] == [8, 5]
    assert min(min(row["token_ids"]) for row in collected["requests"]) >= 0


def test_ranks_say_what_one_says(spoken, tiny):
    requests = [([5, 6, 7], 12, True), ([9], 12, True)]
    one = outcome(spoken, tiny / "tiny", *requests)
    answer = ask(spoken, tiny / "tiny", {"tp_plan": "auto", "tp_size": 2})
    assert answer["type"] == "load" and len(answer["pids"]) == 2, (answer, spoken.said()[-3000:])
    spoken.batch += 1
    several = spoken.work(spoken.batch, *requests)
    assert [ids(several, i) for i in (0, 1)] == [ids(one, i) for i in (0, 1)]
    spoken.ok("prepare", batch=900, requests=[{"id": "a", "token_ids": [5], "max_tokens": 500, "ignore_eos": True}])
    number = spoken.send("generate", batches=[900])
    time.sleep(0.3)
    spoken.send("abort")
    answers = [spoken.reply(), spoken.reply()]
    assert (answers[0]["id"], answers[0].get("class")) == (number, "Aborted"), answers
    spoken.batch += 1
    assert ids(spoken.work(spoken.batch, *requests)) == ids(one)
    assert ids(outcome(spoken, tiny / "tiny", *requests)) == ids(one)  # one process again


# --- refused -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options, config, kind, says", [
    ({"attn_implementation": "flash_attention_2"}, {"precision": "bf16"}, "Substitution", "'sdpa' would be used"),
    ({"device": "cuda"}, {}, "Substitution", "'cuda' was asked for, 'cpu' would be used"),
    ({"cache_implementation": "offloaded"}, {}, "NotSupported", "there is no GPU"),
    ({"load_in_4bit": True}, {}, "ImportError", "bitsandbytes"),
    ({"assistant_model": "smol"}, {}, "BadValue", "vocabulary"),
    ({"no_such": 1}, {}, "UnknownKey", "no_such"),
], ids=lambda value: next(iter(value), "") if isinstance(value, dict) else None)
def test_what_cannot_be_had_is_refused(spoken, tiny, smol, options, config, kind, says):
    options = {name: str(smol) if value == "smol" else value for name, value in options.items()}
    answer = ask(spoken, tiny / "tiny", options, **config)
    assert (answer["type"], answer.get("class")) == ("error", kind) and says in answer["message"], answer


# --- compiled ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_compiled_it_says_the_same(python, spoken, tiny, tmp_path):
    """By the compiler that torch comes with: the load has all of it, and no batch any more."""
    request, longer = ([5, 6, 7], 5, True), ([5, 6, 7, 8, 9], 5, True)
    plain = [ids(outcome(spoken, tiny / "tiny", r)) for r in (request, longer)]
    env = {"CUDA_VISIBLE_DEVICES": "", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    compiling = adapters.Spoken([python, ADAPTER], tmp_path, env)
    try:
        compiling.ok("hello", protocol=1)
        config = {"model_path": str(tiny / "tiny"), "options": {"n_threads": 1, "torch_compile": True}, "max_input_tokens": 8}
        loaded = compiling.ask("load", timeout=500, config=config)
        assert loaded["type"] == "load", loaded
        took = [(loaded["compile"]["t1_ns"] - loaded["compile"]["t0_ns"]) / 1e9]
        for i, r in enumerate((request, longer)):
            done = compiling.work(i, r, timeout=400)
            assert ids(done) == plain[i]
            took.append((done["batches"][0]["t1_ns"] - done["batches"][0]["t0_ns"]) / 1e9)
        assert max(took[1:]) < took[0] / 5, took
    finally:
        compiling.close()


# --- its end -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["load", "prepare", "generate"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left(python, tiny, tmp_path, phase, number):
    """Two ranks: the adapter ends in each phase, and the other with it."""
    spoken = adapters.Spoken([python, ADAPTER], tmp_path, {"CUDA_VISIBLE_DEVICES": ""})
    try:
        spoken.ok("hello", protocol=1)
        config = {"model_path": str(tiny / "tiny"), "options": {"n_threads": 1, "tp_plan": "auto", "tp_size": 2}}
        spoken.send("load", config=config)
        if phase == "load":
            time.sleep(3)
        else:
            assert spoken.reply(120)["type"] == "load", spoken.said()
            spoken.ok("prepare", batch=1, requests=[{"id": "a", "token_ids": [5], "max_tokens": 500, "ignore_eos": True}])
        if phase == "generate":
            spoken.send("generate", batches=[1])
            time.sleep(0.5)
        group = os.getpgid(spoken.process.pid)
        spoken.process.send_signal(number)
        assert spoken.process.wait(10) == (0 if number == signal.SIGTERM else -9), spoken.said()
        end = time.monotonic() + 5
        while members(group) and time.monotonic() < end:
            time.sleep(0.05)
        assert members(group) == []
    finally:
        spoken.close()


def members(group):
    """Processes of the group that are no zombies."""
    rows = subprocess.run(["ps", "-eo", "pid=,pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout.splitlines()
    return [row for row in rows if int(row.split()[1]) == group and row.split()[2][0] != "Z"]


def test_the_suite(engines, smol):
    done = engines.run("engine", "check", "pytorch", "-m", smol, "-o", "n_threads=1", timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
