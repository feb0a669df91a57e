"""How the Python system that this one replaces went wrong with PyTorch's tokens, times, memory and devices, as far as no other
file shows that it does not happen here: whole runs of the adapter on stand-ins for torch and transformers (fake_torch).
docs/reliability.md has the list, with the test of each."""

import json

import pytest

import fakes

from studies import check_records, metric, the_study, write

FIELDS = {"backend": "pytorch", "n": 4, "max_input_tokens": 8, "max_output_tokens": 6, "pytorch.batch_size": 2, "warmup.enabled": False,
          "energy.modelled": False, "energy.max_repeats": 1}
TEXTS = ["one two three four", "five", "six seven", "eight nine ten"]


@pytest.fixture
def run(llem, build_dir, tmp_path):
    """run(fields, words, status): the study of a run; run.noted(): what torch and transformers were given."""
    llem.env["LLEM_PYTORCH_PYTHON"] = str(fakes.python(tmp_path, "torch"))
    model = fakes.model(tmp_path)
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in TEXTS))
    calls = tmp_path / "calls"
    calls.mkdir()

    def go(fields=None, words="", status=0, **env):
        env = {"LLEM_FAKE_TORCH": words, "LLEM_TEST_RECORDING": str(calls), **env}
        if "cuda" in words.split():
            env["LLEM_NVML_LIBRARY"] = str(build_dir / "lib" / "libllem-nvml-sim.so")
        path = write(tmp_path / "s.yaml", {**FIELDS, "model": str(model), "dataset": str(prompts), **(fields or {})},
                     execution={"n_cycles": 1})
        done = llem.run("run", path, "-o", tmp_path / "results", env=env, timeout=120)
        assert done.returncode == status, (done.stdout, done.stderr)
        study = the_study(tmp_path / "results")
        check_records(llem, study)
        return study

    go.noted = lambda: fakes.noted(calls)
    return go


def value(record, name):
    return metric(record, name)["value"]


def test_the_prompts_are_those_of_the_data_set_and_are_cut_to_their_length(run):
    """Placeholders were run, and one engine of three heeded the length."""
    record = run({"max_input_tokens": 2}).result()
    assert record["workload"]["input_tokens"] == [2, 1, 2, 2] and value(record, "tokens_in") == 7


def test_padding_is_in_no_count_but_its_own(run):
    record = run().result()
    assert (value(record, "tokens_in"), value(record, "tokens_out"), value(record, "tokens_padded")) == (10, 24, 4)
    assert value(record, "total_tokens_per_s") == pytest.approx(34 / value(record, "window_s"))


def test_answers_are_of_one_length_whatever_ends_a_text(run):
    """The stand-in says the token that ends a text as its second: it was off by default to ignore it."""
    assert value(run().result(), "tokens_out") == 24


def test_guessed_tokens_are_counted_once_each(run):
    """Chunks were counted, or sequences: three tokens a step come here."""
    record = run({"pytorch.batch_size": 1, "n": 2, "pytorch.prompt_lookup_num_tokens": 2}).result()
    assert (value(record, "tokens_out"), value(record, "requests")) == (12, 2)


def test_the_seed_is_really_set(run):
    run({"random_seed": 11})
    assert set(run.noted()["manual_seed"]) == {"11"}


def test_options_really_reach_the_model(run):
    """They were gathered, and not passed."""
    run({"precision": "bf16", "pytorch.attn_implementation": "eager"})
    noted = run.noted()
    assert noted["from_pretrained.dtype"] == ["torch.bfloat16"] and noted["from_pretrained.attn_implementation"] == ["eager"]


def test_a_model_on_the_cpu_in_place_of_the_gpu_is_no_result(run):
    """It ran there unseen, and the idle board's energy was reported."""
    error = run(words="cuda stays-on-cpu", status=1).error()
    assert "Substitution" in error["message"] and "'cuda:0' was asked for, 'cpu' would be used" in error["message"]


def test_another_kernel_than_asked_for_is_no_result(run):
    """A line of the log said so, and the record said flash attention."""
    error = run({"precision": "bf16", "pytorch.attn_implementation": "flash_attention_2"}, "no-flash", 1).error()
    assert "'flash_attention_2' was asked for, 'sdpa' would be used" in error["message"]


def test_another_kernel_that_is_allowed_is_the_one_in_the_record(run):
    record = run({"precision": "bf16", "pytorch.attn_implementation": "flash_attention_2", "allow_substitution": True}, "no-flash").result()
    assert record["engine"]["resolved"]["attn_implementation"] == "sdpa"
    assert record["engine"]["substitutions"][0]["used"] == "sdpa"


def test_peak_memory_is_the_allocator_s_with_the_weights_since_the_reset(run):
    """Another was put in its place where it looked wrong: that of the whole board, and of the moment."""
    record = run(words="cuda").result()
    assert value(record, "peak_memory_mb") == 123
    assert "cuda.reset_peak_memory_stats" in run.noted()


def test_the_window_ends_when_the_device_has_ended(run):
    """The clock was read before the last synchronisation, and the sampler's end was within it."""
    record = run(words="cuda", fields={"n": 2}).result()
    assert value(record, "window_s") >= 6 * 0.002
    assert value(record, "latency_mean_s") <= value(record, "window_s")


def test_the_warm_up_is_of_whole_requests(run):
    """One token of one prompt was one."""
    run({"warmup.enabled": True, "warmup.n_warmup": 2, "warmup.max_prompts": 2, "warmup.thermal_floor_seconds": 0, "n": 2})
    noted = run.noted()
    assert set(noted["generation.max_new_tokens"]) == {"6"} and len(noted["generate.rows"]) >= 3


def test_a_warm_up_that_fails_is_a_failed_run(run):
    """It had converged."""
    error = run({"warmup.enabled": True, "warmup.thermal_floor_seconds": 0}, "out-of-memory", 1).error()
    assert (error["class"], error["phase"]) == ("EngineError", "warm-up")
    assert "OutOfMemory (out of memory): CUDA out of memory" in error["message"]


def test_times_to_the_first_token_and_between_tokens_are_in_the_record(run):
    """They had types, and were never filled in."""
    record = run().result()
    for name in ("ttft_mean_s", "tpot_mean_s", "itl_mean_s", "latency_mean_s"):
        assert value(record, name) > 0.001, name
