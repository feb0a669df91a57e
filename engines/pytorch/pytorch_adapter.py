#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Hugging Face transformers on PyTorch: batches of prompts padded on the left, stamps of every step of every batch."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from llem_adapter import (Adapter, Batch, Load, Loaded, Option, Refused, Request, Stopped, builds, now_ns, options_of,
                          resident_peak_bytes, serve, versions)
from ranks import Flag, Ranks, follow, is_follower, nothing

HERE = os.path.dirname(os.path.abspath(__file__))
DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "bitsandbytes", "flash-attn", "optimum-quanto", "hqq")
BNB = ("load_in_4bit", "load_in_8bit", "bnb_4bit_compute_dtype", "bnb_4bit_quant_type", "bnb_4bit_use_double_quant",
       "bnb_4bit_quant_storage", "llm_int8_threshold", "llm_int8_has_fp16_weight", "llm_int8_enable_fp32_cpu_offload",
       "llm_int8_skip_modules")
OF_BEAMS = ("early_stopping", "length_penalty")
OF_ASSISTANT = ("num_assistant_tokens", "assistant_confidence_threshold")
LOOKUP_NGRAM = 2  # of transformers' PromptLookupCandidateGenerator
GENERATION = ("num_beams", "early_stopping", "length_penalty", "prompt_lookup_num_tokens",
              "max_matching_ngram_size", "cache_implementation", "use_cache")
# Fields of GenerationConfig that are not handed on: what llem sets, what would make other work of it, what only models with an
# encoder or code from a hub heed, and what the assistant alone reads.
NOT_PASSED = {
    "max_length", "max_new_tokens", "min_length", "min_new_tokens", "max_time", "stop_strings", "do_sample", "temperature", "top_k",
    "top_p", "min_p", "repetition_penalty", "cache_config", "num_return_sequences", "output_attentions", "output_hidden_states",
    "output_scores", "output_logits", "return_dict_in_generate", "pad_token_id", "bos_token_id", "eos_token_id", "forced_bos_token_id",
    "forced_eos_token_id", "exponential_decay_length_penalty", "token_healing", "encoder_repetition_penalty",
    "encoder_no_repeat_ngram_size", "decoder_start_token_id", "is_assistant", "num_assistant_tokens_schedule", "assistant_early_exit",
    "assistant_lookbehind", "target_lookbehind", "compile_config", "disable_compile", "continuous_batching_config", "low_memory",
    "penalty_alpha", "dola_layers", "diversity_penalty", "num_beam_groups", "constraints", "force_words_ids", "transformers_version"}
OF_SAMPLING = {"top_h", "typical_p", "epsilon_cutoff", "eta_cutoff"}
TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
NO_SAMPLING = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": None}  # transformers' own top_k would be 50
OF_COMPILER = ("fullgraph", "dynamic", "options")
COMPILED_TOKENS = 4  # that the calls which compile say: the first of a text, the next, and those of a cache that grows
ALLOCATORS = ("peak_bytes", "reserved_peak_bytes")
DECODER = {*NO_SAMPLING, "do_sample", "repetition_penalty", "min_new_tokens"}


class Part:
    """Requests that are computed together: their prompts as tensors, shorter ones padded on the left and masked."""

    def __init__(self, torch: Any, requests: list[Request], longest: int, pad: int, eos: set[int], device: Any) -> None:
        self.requests, self.n_prompt = requests, longest
        rows = [[pad] * (longest - len(r.token_ids)) + r.token_ids for r in requests]
        mask = [[0] * (longest - len(r.token_ids)) + [1] * len(r.token_ids) for r in requests]
        self.inputs = {"input_ids": torch.tensor(rows, device=device), "attention_mask": torch.tensor(mask, device=device)}
        self.limits = torch.tensor([r.max_tokens for r in requests], device=device)
        self.looks = torch.tensor([not r.ignore_eos for r in requests], device=device)
        self.eos = torch.tensor(sorted(eos), device=device) if eos and not all(r.ignore_eos for r in requests) else None
        self.n_padded = longest * len(requests) - sum(len(r.token_ids) for r in requests)


class Steps:
    """A stopping criterion: sees the sequences after every step, notes when, and says which of them are done.

    On a GPU a step is an event in its stream, and nothing waits for it. When all is over its time is its distance from
    two events whose places on the monotonic clock are known, one before and one after the work."""

    def __init__(self, torch: Any, part: Part, stop: Callable[[int], None], device: Any) -> None:
        self.torch, self.part, self.stop, self.device = torch, part, stop, device
        self.marks: list[tuple[int, Any]] = []  # length of the sequences, when
        self.on_gpu = device.type == "cuda"
        self.first = self.last = self._anchor()
        self.began_ns = self.first[1] if self.on_gpu else now_ns()

    def _event(self) -> Any:
        event = self.torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _anchor(self) -> Any:
        if not self.on_gpu:
            return None
        event = self._event()
        self.torch.cuda.synchronize(self.device)
        return event, now_ns()

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        part = self.part
        length = input_ids.shape[1] - part.n_prompt
        self.marks.append((length, self._event() if self.on_gpu else now_ns()))
        self.stop(len(self.marks))
        beams = input_ids.shape[0] // len(part.requests)
        done = (part.limits <= length).repeat_interleave(beams)
        if part.eos is not None:
            ended = self.torch.isin(input_ids[:, part.n_prompt :], part.eos).any(1)
            done = done | (part.looks.repeat_interleave(beams) & ended)
        return done

    def end(self) -> int:
        """All is out; when."""
        self.last = self._anchor()
        return self.last[1] if self.on_gpu else now_ns()

    def _when(self, mark: Any) -> int:
        if not self.on_gpu:
            return int(mark)
        (first, first_ns), (last, last_ns) = self.first, self.last
        share = first.elapsed_time(mark) / max(first.elapsed_time(last), 1e-6)
        return int(first_ns + min(share, 1.0) * (last_ns - first_ns))

    def stamps(self) -> list[int]:
        """When each token of a sequence was out: tokens of one step share its time."""
        stamps: list[int] = []
        for length, mark in self.marks:
            stamps += [self._when(mark)] * (length - len(stamps))
        return stamps


class Penalty:
    """Repetition penalty that does not see the padding: the work of a request is the same in any batch."""

    def __init__(self, torch: Any, penalty: float, mask: Any) -> None:
        self.torch, self.penalty, self.mask = torch, penalty, mask

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        n, rows = self.mask.shape[1], input_ids.shape[0] // self.mask.shape[0]
        padded = self.mask.repeat_interleave(rows, 0) == 0
        prompt = self.torch.where(padded, input_ids[:, n - 1 : n], input_ids[:, :n])
        ids = self.torch.cat([prompt, input_ids[:, n:]], dim=1)
        found = scores.gather(1, ids)
        found = self.torch.where(found < 0, found * self.penalty, found / self.penalty)
        return scores.scatter(1, ids, found)


class NoRepeat:
    """No sequence of so many tokens twice in a text, of which the padding is no part."""

    def __init__(self, size: int, begins: list[int]) -> None:
        self.size, self.begins = size, begins  # where the text of each row begins

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        scores, per, before = scores.clone(), input_ids.shape[0] // len(self.begins), self.size - 1
        for i, row in enumerate(input_ids.tolist()):
            ids = row[self.begins[i // per] :]
            end = ids[len(ids) - before :]
            banned = {ids[j + before] for j in range(len(ids) - before) if ids[j : j + before] == end}
            if banned:
                scores[i, sorted(banned)] = -float("inf")
        return scores


class PyTorch(Adapter):
    name, version, engine = "llem-engine-pytorch", "1", "transformers"
    options = options_of(os.path.join(HERE, "engine.json"))

    def __init__(self) -> None:
        self.torch: Any = None
        self.model: Any = None
        self.assistant: Any = None
        self.ranks: Ranks | None = None
        self.flag: Flag | None = None
        self.compile_ns: tuple[int, int] | None = None

    def hello(self) -> dict[str, Any]:
        found = versions(LIBRARIES)
        return {"engine_version": found.get("transformers"), "libraries": found}

    def schema(self) -> Any:
        """Ours, and what else the installed transformers takes to generate."""
        import torch  # noqa: F401
        from transformers import GenerationConfig

        config = GenerationConfig()
        defaults = config._get_default_generation_params()
        known = NOT_PASSED | {row.name for row in self.options}
        names = [name for name in vars(config) if not name.startswith("_") and name not in known]
        kinds = {name: TYPES.get(type(defaults.get(name)), "any") for name in names}
        return [*self.options, *(Option(name, kinds[name], defaults.get(name)) for name in names)]

    # --- load

    def load(self, load: Load) -> Loaded:
        self.close()
        if not load.model_path:
            raise Refused("LoadFailed", "load: a folder with config.json is needed")
        unknown = set(load.decoder) - DECODER
        if unknown:
            raise Refused("UnknownKey", f"load: decoder: there is no {', '.join(sorted(unknown))}", unknown=sorted(unknown))
        try:
            return self._loaded(load, self._load_ranks(load) if load.options["tp_plan"] else self.load_here(load))
        except Exception:
            self.close()  # nothing half loaded stays, and no rank waits for this one
            raise

    def _load_ranks(self, load: Load) -> int:
        if not load.options["tp_size"]:
            raise Refused("BadValue", "load: 'tp_plan' needs 'tp_size', the number of ranks")
        self.ranks = Ranks(load.options["tp_size"], os.path.abspath(__file__), self.give_up)
        self.flag = self.ranks.flag
        return sum(self._all("load", dataclasses.replace(load, check_stop=nothing), lambda: self.load_here(load)))

    def _all(self, what: str, argument: Any, here: Callable[[], Any]) -> list[Any]:
        """What all ranks answer, this one first. Where one of them failed all are let go of, and its words are the answer."""
        ranks = self.ranks
        if ranks is None:
            return [here()]
        try:
            ranks.tell(what, argument)
            return [here(), *ranks.answers()]
        except Stopped:
            ranks.answers()  # they stopped at the same step
            raise
        except Exception as error:
            reason = ranks.reason(error)
            self.close()  # they wait for this one
            raise reason from (None if reason is error else error)

    def _loaded(self, load: Load, weights: int) -> Loaded:
        torch, o = self.torch, load.options
        said = {name: value for name, value in o.items() if value is not None}
        resolved = {**self._filled(), **said, "precision": load.precision or "fp32", "dtype": self.dtype, "random_seed": self.seed,
                    "attn_implementation": self.model.config._attn_implementation, "device": str(self.device),
                    "cache_implementation": (o["cache_implementation"] or "dynamic") if o["use_cache"] else None}
        placed = {str(part): str(place) for part, place in getattr(self.model, "hf_device_map", {}).items()}
        if o["device_map"] and placed:
            resolved["device_map"] = placed
        facts = {"threads": torch.get_num_threads(), "float32_matmul_precision": torch.get_float32_matmul_precision(),
                 "parameters": sum(p.numel() for p in self.model.parameters()),
                 "builds": builds(LIBRARIES)}
        beside = self.device.type == "cuda" and bool(set(placed.values()) & {"cpu", "disk"})
        return Loaded(resolved, versions(["transformers"])["transformers"], "gpu" if self.device.type == "cuda" else "cpu",
                      devices=["gpu", "cpu"] if beside else (), batch=o["batch_size"], weights_bytes=weights, facts=facts,
                      compile_ns=self.compile_ns,
                      pids=[os.getpid(), *(self.ranks.pids() if self.ranks else [])])

    def _filled(self) -> dict[str, Any]:
        """What options that nobody wrote come to, as far as they act: torch's and transformers' own values."""
        o, defaults = self.load_options, self.transformers.GenerationConfig()._get_default_generation_params()
        acting = ["no_repeat_ngram_size", *(OF_BEAMS if (o["num_beams"] or 1) > 1 else ()),
                  *(OF_ASSISTANT if o["assistant_model"] else ())]
        values = {"n_threads": self.torch.get_num_threads(), **{name: defaults.get(name) for name in acting}}
        values["autocast_dtype"] = "bfloat16" if o["autocast_enabled"] else None
        values["max_matching_ngram_size"] = LOOKUP_NGRAM if o["prompt_lookup_num_tokens"] else None
        if o["use_cache"] and o["cache_implementation"] == "quantized":
            values.update(self._quantized_cache())
        bits = getattr(self.model.config, "quantization_config", None)
        for name in BNB if o["load_in_4bit"] or o["load_in_8bit"] else ():
            if name.startswith("bnb_4bit" if o["load_in_4bit"] else "llm_int8") and hasattr(bits, name):
                value = getattr(bits, name)
                values[name] = value if isinstance(value, (bool, int, float)) else str(value).replace("torch.", "")
        return {name: value for name, value in values.items() if value is not None}

    def _quantized_cache(self) -> dict[str, Any]:
        o = self.load_options
        return {"cache_backend": o["cache_backend"] or "quanto", "cache_nbits": o["cache_nbits"] or 4}

    def load_here(self, load: Load) -> int:
        """Of this rank; the bytes of its weights."""
        import torch
        import transformers

        self.torch, self.transformers, self.load_options, self.decoder = torch, transformers, load.options, load.decoder
        self.max_input, self.compile_ns = load.max_input_tokens, None
        self.further = self._further(load)
        self.seed = load.random_seed or 0
        if load.options["n_threads"]:
            torch.set_num_threads(load.options["n_threads"])
        self._sow()
        self.asked = self._device(load)
        self._check_cache(load.options)
        dtype = getattr(torch, load.options["dtype"] or DTYPES[load.precision or "fp32"])
        self.model = self._model(load, load.model_path, dtype, self._placement(load))
        self.device = next(self.model.parameters()).device
        self._check(load, dtype)
        eos = self.model.generation_config.eos_token_id
        self.eos = set(eos if isinstance(eos, list) else [eos]) - {None}
        self.model.generation_config = transformers.GenerationConfig()  # the folder's own would fill in what is not asked for
        self.tokenizer = self._tokenizer(load)
        self._assist(load, dtype)
        if load.options["torch_compile"]:
            self.model.forward = torch.compile(self.model.forward, **self._compile_arguments(load))
            self.compile_ns = self._compile(load)
        return sum(p.numel() * p.element_size() for m in (self.model, self.assistant) if m for p in m.parameters())

    @staticmethod
    def _compile_arguments(load: Load) -> dict[str, Any]:
        o = load.options
        more = {name: o[f"compile_config.{name}"] for name in OF_COMPILER if o[f"compile_config.{name}"] is not None}
        if more.get("options") and o["torch_compile_mode"] != "default":
            raise Refused("BadValue", "load: 'compile_config.options': torch takes a 'torch_compile_mode' or 'options', not both")
        mode = {} if more.get("options") else {"mode": o["torch_compile_mode"]}
        return {**mode, "backend": o["torch_compile_backend"], **more}

    def _compile(self, load: Load) -> tuple[int, int] | None:
        """Calls what is compiled in the shapes of the work, so that compiling is in the load: as many prompts as a batch has, of
        the longest length, and of another where lengths differ. From when until when."""
        longest = min(load.max_input_tokens, (self._positions() or 1 << 20) - COMPILED_TOKENS)
        if longest < 1:
            return None
        fixed = load.options["padding"] == "max_length"
        t0_ns = now_ns()
        for length in [longest] if fixed or longest == 1 else [longest, (longest + 1) // 2]:
            requests = [Request(str(i), [1] * length, COMPILED_TOKENS, True) for i in range(load.options["batch_size"] or 1)]
            batch = Batch(0, requests, load.check_stop, n_padded=0)
            self.prepare_here(batch)
            for part in batch.work:
                self._run(batch, part)
        return t0_ns, now_ns()

    def _further(self, load: Load) -> dict[str, Any]:
        """Those of transformers' own that are written and change something."""
        ours, defaults = {row.name for row in self.options}, self.transformers.GenerationConfig()._get_default_generation_params()
        given = {name: value for name, value in load.options.items() if name not in ours and value != defaults.get(name)}
        idle = sorted(OF_SAMPLING & set(given)) if not self._samples() else []
        if "max_cache_len" in given and load.options["cache_implementation"] not in ("static", "offloaded_static"):
            idle.append("max_cache_len")
        if idle:
            raise Refused("BadValue", f"load: '{idle[0]}' does nothing here: it is of "
                          + ("sampling" if idle[0] in OF_SAMPLING else "a static cache"))
        return given

    def _samples(self) -> bool:
        return bool(self.decoder.get("do_sample", self.decoder.get("temperature", 0)))

    def _check_cache(self, o: Any) -> None:
        kind = o["cache_implementation"] if o["use_cache"] else None
        if kind in ("offloaded", "offloaded_static") and self.asked.type != "cuda":
            raise Refused("NotSupported", f"load: 'cache_implementation' {kind} moves the cache between a GPU and the CPU; there is no GPU")
        library = {"hqq": "hqq"}.get(o["cache_backend"], "optimum-quanto")
        if kind == "quantized" and not versions([library]):
            raise Refused("NotSupported", f"load: 'cache_implementation' quantized needs the package {library}")

    def _sow(self) -> None:
        random.seed(self.seed)
        self.torch.manual_seed(self.seed)  # of every device

    def _device(self, load: Load) -> Any:
        """As asked for, else a GPU where there is one; never silently the CPU where a GPU was asked for, or given."""
        torch, asked = self.torch, load.options["device"]
        boards = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        if asked is None and not torch.cuda.is_available() and boards in ("", "-1", "NoDevFiles"):
            return torch.device("cpu")
        device = torch.device(asked or "cuda")
        if device.type == "cuda" and not torch.cuda.is_available():
            load.substitute("device", asked or f"CUDA_VISIBLE_DEVICES={boards}", "cpu", f"torch {torch.__version__} sees no CUDA device")
            return torch.device("cpu")
        if device.type == "cuda" and device.index is None:
            return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        return device

    def _placement(self, load: Load) -> dict[str, Any]:
        o = load.options
        if o["tp_plan"]:
            return self._tensor_parallel(o)
        if o["device_map"]:
            memory = {int(k) if k.isdigit() else k: v for k, v in (o["max_memory"] or {}).items()}
            buffers = {} if o["offload_buffers"] is None else {"offload_buffers": o["offload_buffers"]}
            return {"device_map": o["device_map"], **({"max_memory": memory} if memory else {}), **buffers}
        if o["load_in_4bit"] or o["load_in_8bit"]:
            return {"device_map": {"": self.asked}}  # such a model cannot be moved later
        return {}

    def _tensor_parallel(self, o: Any) -> dict[str, Any]:
        try:
            from transformers.distributed import DistributedConfig
        except ImportError:
            return {"tp_plan": o["tp_plan"]}
        return {"distributed_config": DistributedConfig(tp_plan=o["tp_plan"], tp_size=o["tp_size"])}

    def _model(self, load: Load, source: Any, dtype: Any, placement: dict[str, Any]) -> Any:
        o = load.options
        kernel = o["attn_kernel"] or o["attn_implementation"]
        given = {"dtype": dtype, "attn_implementation": kernel, "trust_remote_code": o["trust_remote_code"],
                 "local_files_only": True, **placement}
        if o["load_in_4bit"] or o["load_in_8bit"]:
            bnb = {name: o[name] for name in BNB if o[name] is not None}
            given["quantization_config"] = self.transformers.BitsAndBytesConfig(**bnb)
        elif o["llm_int8_skip_modules"]:
            raise Refused("BadValue", "load: 'llm_int8_skip_modules' needs load_in_4bit or load_in_8bit: nothing is quantised")
        given.update({name: o[name] for name in ("experts_implementation", "use_kernels") if o[name]})
        make = self.transformers.AutoModelForCausalLM.from_pretrained
        try:
            model = make(source, **given)
        except (ImportError, ValueError) as error:
            if kernel in ("sdpa", "eager") or not o["attn_kernel"] and "attention" not in str(error).lower():
                raise
            load.substitute("attn_implementation", kernel, "sdpa", str(error).partition("\n")[0])
            model = make(source, **{**given, "attn_implementation": "sdpa"})
        model.eval()
        if not placement:
            model.to(self.asked)
        return model

    def _check(self, load: Load, dtype: Any) -> None:
        """What was loaded against what was asked for."""
        o = load.options
        used = str(self.model.config._attn_implementation)
        told = {row["what"] for row in load.substitutions}
        asked = o["attn_kernel"] or o["attn_implementation"]
        if used != asked and "attn_implementation" not in told:
            load.substitute("attn_implementation", asked, used, "the class of the model has no other")
        if self.device.type != self.asked.type and not o["device_map"]:
            load.substitute("device", str(self.asked), str(self.device), "the weights are there")
        sizes: Counter[Any] = Counter()
        for p in self.model.parameters():
            sizes[p.dtype] += p.numel()
        found = max((kind for kind in sizes if kind.is_floating_point), key=lambda kind: sizes[kind], default=dtype)
        self.dtype = str(found).replace("torch.", "")
        if found != dtype and not (o["load_in_4bit"] or o["load_in_8bit"]):
            load.substitute("precision", str(load.precision), self.dtype, "the weights were loaded so")

    def _tokenizer(self, load: Load) -> Any:
        try:
            return self.transformers.AutoTokenizer.from_pretrained(load.model_path, local_files_only=True,
                                                                   trust_remote_code=load.options["trust_remote_code"])
        except (OSError, ValueError) as error:
            print(f"no tokenizer: {error}", flush=True)
            return None

    def _assist(self, load: Load, dtype: Any) -> None:
        """The small model that guesses, of the same vocabulary."""
        o = load.options
        if not o["assistant_model"]:
            return
        quantised = o["load_in_4bit"] or o["load_in_8bit"]  # then so is this one, and it cannot be moved later
        self.assistant = self._model(load, o["assistant_model"], dtype, {"device_map": {"": self.device}} if quantised else {})
        ours, its = (m.get_input_embeddings().weight.shape[0] for m in (self.model, self.assistant))
        if ours != its:
            raise Refused("BadValue", f"load: 'assistant_model' has a vocabulary of {its} tokens, the model one of {ours}")
        given = {name: o[name] for name in ("num_assistant_tokens", "assistant_confidence_threshold") if o[name] is not None}
        self.assistant.generation_config = self.transformers.GenerationConfig(num_assistant_tokens_schedule="constant", **given)

    def tokenize(self, text: str, add_special: bool, parse_special: bool) -> list[int]:
        if self.tokenizer is None:
            raise Refused("NotSupported", "tokenize: the model's folder has no tokenizer")
        return self.tokenizer(text, add_special_tokens=add_special, split_special_tokens=not parse_special)["input_ids"]

    # --- work

    def _need_model(self) -> None:
        if self.model is None:
            raise Refused("BadOrder", "the model was let go of when a rank failed; load it again")

    def prepare(self, batch: Batch) -> bool:
        self._need_model()
        n_vocab, longest = self.model.get_input_embeddings().weight.shape[0], self._positions()
        for r in batch.requests:
            if max(r.token_ids) >= n_vocab:
                raise Refused("BadValue", f"prepare: request '{r.id}': token id {max(r.token_ids)}; the vocabulary has {n_vocab}")
            if longest and len(r.token_ids) + r.max_tokens > longest:
                raise Refused("BadValue", f"prepare: request '{r.id}' comes to {len(r.token_ids)} + {r.max_tokens} tokens; the model "
                              f"has {longest} positions (max_position_embeddings)")
        self._all("prepare", (batch.number, batch.requests), lambda: self.prepare_here(batch))
        return True

    def _positions(self) -> int | None:
        """How long a text the model can hold; None where its configuration names no limit, or one that moves."""
        config = self.model.config
        config = config.get_text_config() if hasattr(config, "get_text_config") else config
        rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
        moves = isinstance(rope, dict) and rope.get("rope_type", rope.get("type")) == "dynamic"
        return None if moves else getattr(config, "max_position_embeddings", None)

    def prepare_here(self, batch: Batch) -> None:
        pad = min(self.eos, default=0)
        batch.work = [Part(self.torch, requests, self._length(requests), pad, self.eos, self.device)
                      for requests in self._divide(batch.requests)]
        self._synchronize()

    def _length(self, requests: list[Request]) -> int:
        longest = max(len(r.token_ids) for r in requests)
        return max(longest, self.max_input) if self.load_options["padding"] == "max_length" else longest

    def _divide(self, requests: list[Request]) -> list[list[Request]]:
        """Dynamic batching: as many requests together, in their order, as have no more positions than may be."""
        most = self.load_options["max_batch_tokens"]
        parts: list[list[Request]] = [[]]
        for request in requests:
            longer = [*parts[-1], request]
            if most and parts[-1] and self._length(longer) * len(longer) > most:
                parts.append([request])
            else:
                parts[-1] = longer
        return parts

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            self.torch.cuda.synchronize(self.device)

    def _generation(self, part: Part) -> Any:
        o, d = self.load_options, self.decoder
        given = {**self.further, **{name: o[name] for name in GENERATION if o[name] is not None}}
        if o["cache_implementation"] == "quantized":
            made = self._quantized_cache()
            given["cache_config"] = {"backend": made["cache_backend"], "nbits": made["cache_nbits"]}
            if o["cache_backend"] == "hqq":
                given["cache_config"].update(axis_key=1, axis_value=1)
        if self._samples():
            given.update({name: default if d.get(name) is None else d[name] for name, default in NO_SAMPLING.items()})
        # End-of-sequence tokens are the stopping criterion's matter: requests of a batch may differ in what they do at one.
        # transformers would compile by itself for a static cache.
        return self.transformers.GenerationConfig(
            max_new_tokens=max(r.max_tokens for r in part.requests), do_sample=self._samples(), eos_token_id=None,
            pad_token_id=min(self.eos, default=0), disable_compile=True, **given)

    def _processors(self, part: Part) -> list[Any]:
        processors: list[Any] = []
        least, penalty = self.decoder.get("min_new_tokens") or 0, self.decoder.get("repetition_penalty")
        if least and self.eos:
            processors.append(self.transformers.MinNewTokensLengthLogitsProcessor(part.n_prompt, least, sorted(self.eos),
                                                                                  device=self.device))
        if penalty is not None and penalty != 1:
            processors.append(Penalty(self.torch, penalty, part.inputs["attention_mask"]))
        if self.load_options["no_repeat_ngram_size"]:
            begins = [part.n_prompt - len(r.token_ids) for r in part.requests]
            processors.append(NoRepeat(self.load_options["no_repeat_ngram_size"], begins))
        return processors

    def _stop(self, batch: Batch) -> Callable[[int], None]:
        """Of one process: at once. Of several ranks: all at the same step, which the first of them names."""
        flag, ranks = self.flag, self.ranks
        if flag is None:
            return lambda step: batch.check_stop()

        def stop(step: int) -> None:
            if ranks:
                ranks.check()
            if not flag.get():
                try:
                    batch.check_stop()
                except Stopped:
                    flag.set(step + 2)
            if flag.get() and step >= flag.get():
                raise Stopped

        return stop

    def generate(self, batch: Batch) -> None:
        if self.flag:
            self.flag.set(0)
        if any(said != [r.out_ids for r in batch.requests]
               for said in self._all("generate", batch.number, lambda: self.generate_here(batch))[1:]):
            raise Refused("RanksDiffer", "generate: the ranks chose different tokens")

    def generate_here(self, batch: Batch) -> None:
        self._sow()  # each batch, so that repeats are equal work
        batch.n_padded, parts, batch.work = 0, batch.work, None
        batch.t0_ns = now_ns()
        for part in parts:
            batch.t1_ns = self._run(batch, part)

    def _run(self, batch: Batch, part: Part) -> int:
        torch, o = self.torch, self.load_options
        config, more = self._generation(part), {"assistant_model": self.assistant} if self.assistant else {}
        autocast = (torch.autocast(self.device.type, dtype=getattr(torch, o["autocast_dtype"] or "bfloat16"))
                    if o["autocast_enabled"] else contextlib.nullcontext())
        steps = Steps(torch, part, self._stop(batch), self.device)
        with torch.inference_mode(), autocast:
            out = self.model.generate(**part.inputs, generation_config=config, stopping_criteria=[steps],
                                      logits_processor=self._processors(part), **more)
        end_ns = steps.end()
        rows, stamps = out[:, part.n_prompt :].tolist(), steps.stamps()
        for request, row in zip(part.requests, rows):  # noqa: B905 (Python 3.9)
            self._take(request, row, stamps)
            request.engine_stamps = {"queued_ns": batch.t0_ns, "scheduled_ns": steps.began_ns}
        computed = len(rows[0]) * len(rows)
        batch.n_padded += part.n_padded + computed - sum(len(r.out_ids) for r in part.requests)
        return end_ns

    def _take(self, request: Request, row: list[int], stamps: list[int]) -> None:
        ids = row[: request.max_tokens]
        if not request.ignore_eos:
            end = next((i for i, token in enumerate(ids) if token in self.eos), None)
            if end is not None:
                ids = ids[: end + 1]
                request.finish = "stop"
        for token, stamp_ns in zip(ids, stamps):  # noqa: B905
            request.token(token, stamp_ns)
        if len(request.out_ids) == request.max_tokens:
            request.finish = "length"

    # --- state

    def reset(self, prefix_cache: bool, peak_memory: bool) -> tuple[bool, bool]:
        self._need_model()
        done = peak_memory and all(self._all("reset", None, self.reset_here))
        return prefix_cache, done  # no prefix outlives its batch

    def reset_here(self) -> bool:
        boards = self._boards()
        for board in boards:
            self.torch.cuda.reset_peak_memory_stats(board)
        return bool(boards)

    def _boards(self) -> list[Any]:
        """The GPUs that this process computes on."""
        return sorted({p.device.index or 0 for p in self.model.parameters() if p.device.type == "cuda"})

    def memory(self) -> dict[str, Any]:
        """Of an allocator's figures the largest of any rank; what processes and devices hold added up."""
        self._need_model()
        ranks = self._all("memory", None, self.memory_here)
        return {name: figure if isinstance(figure, str) else (max if name in ALLOCATORS else sum)(rank[name] for rank in ranks)
                for name, figure in ranks[0].items()}

    def memory_here(self) -> dict[str, Any]:
        figures: dict[str, Any] = {"rss_peak_bytes": resident_peak_bytes()}
        boards, cuda = self._boards(), self.torch.cuda
        if not boards:
            why = "PyTorch keeps no account of its memory on the CPU"
            return {**figures, "peak_bytes": why, "reserved_peak_bytes": why, "device_bytes": "the model is on the CPU"}
        infos = [cuda.mem_get_info(board) for board in boards]
        return {**figures, "peak_bytes": max(cuda.max_memory_allocated(board) for board in boards),
                "reserved_peak_bytes": max(cuda.max_memory_reserved(board) for board in boards),
                "device_bytes": sum(total - free for free, total in infos)}

    def close(self) -> None:
        self.model = self.assistant = self.flag = None
        if self.ranks:
            self.ranks.close()
            self.ranks = None
            if self.torch and self.torch.distributed.is_initialized():
                self.torch.distributed.destroy_process_group()


def follower() -> None:
    """A rank of tensor parallelism but the first."""
    engine, batches = PyTorch(), {}

    def load(argument: Load, flag: Flag) -> int:
        engine.flag = flag
        return engine.load_here(argument)

    def prepare(argument: tuple[int, list[Request]], flag: Flag) -> None:
        batches[argument[0]] = Batch(*argument)
        engine.prepare_here(batches[argument[0]])

    def generate(number: int, flag: Flag) -> list[list[int]]:
        batch = batches.pop(number)
        with contextlib.suppress(Stopped):
            engine.generate_here(batch)
        return [r.out_ids for r in batch.requests]

    follow({"load": load, "prepare": prepare, "generate": generate, "memory": lambda argument, flag: engine.memory_here(),
            "reset": lambda argument, flag: engine.reset_here()})


if __name__ == "__main__":
    follower() if is_follower() else serve(PyTorch())
