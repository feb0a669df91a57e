#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Hugging Face transformers on PyTorch: batches of prompts padded on the left, stamps of every step of every batch."""

from __future__ import annotations

import os
import resource
from importlib import metadata
from typing import Any

# Before anything is imported: nothing is fetched, nobody is told, and several processes do not share tokenizer threads.
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1",
                  TOKENIZERS_PARALLELISM="false")

from llem_adapter import Adapter, Batch, Load, Loaded, Refused, Request, now_ns, options_of, serve  # noqa: E402

DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "bitsandbytes", "flash-attn")
BNB = ("bnb_4bit_compute_dtype", "bnb_4bit_quant_type", "bnb_4bit_use_double_quant")
GENERATION = ("num_beams", "early_stopping", "length_penalty", "no_repeat_ngram_size", "prompt_lookup_num_tokens",
              "cache_implementation", "use_cache")
SAMPLING = ("temperature", "top_k", "top_p", "min_p")
DECODER = {*SAMPLING, "do_sample", "repetition_penalty", "min_new_tokens"}


def libraries() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return found


class Steps:
    """A stopping criterion: sees the sequences after every step, notes when, and knows which requests are done.

    On a GPU the step is an event in its stream, and nothing waits for it; when all is over its time is its distance from
    an event whose place on the monotonic clock is known."""

    def __init__(self, batch: Batch, n_prompt: int, eos: set[int], device: Any) -> None:
        import torch

        self.torch, self.batch, self.n_prompt, self.eos, self.device = torch, batch, n_prompt, eos, device
        self.marks: list[tuple[int, Any]] = []  # length of the sequences, when
        self.done = [False] * len(batch.requests)
        self.anchor: Any = None
        if device.type == "cuda":
            self.anchor = torch.cuda.Event(enable_timing=True)
            self.anchor.record()
            torch.cuda.synchronize(device)
            self.anchor_ns = now_ns()

    def _mark(self) -> Any:
        if self.anchor is None:
            return now_ns()
        event = self.torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        self.batch.check_stop()
        length = input_ids.shape[1] - self.n_prompt
        self.marks.append((length, self._mark()))
        honours = [not r.ignore_eos for r in self.batch.requests]
        last = input_ids[: len(self.done), self.n_prompt :].tolist() if any(honours) else None
        for i, request in enumerate(self.batch.requests):
            ended = last is not None and honours[i] and bool(self.eos.intersection(last[i]))
            self.done[i] = self.done[i] or length >= request.max_tokens or ended
        rows = input_ids.shape[0] // len(self.done)  # of beams
        return self.torch.tensor([d for d in self.done for _ in range(rows)], device=input_ids.device)

    def stamps(self, count: int) -> list[int]:
        """When each of the first tokens was out: tokens of one step share its time."""
        stamps: list[int] = []
        for length, mark in self.marks:
            at_ns = mark if self.anchor is None else self.anchor_ns + int(1e6 * self.anchor.elapsed_time(mark))
            stamps += [at_ns] * (min(length, count) - len(stamps))
        return stamps


class PyTorch(Adapter):
    name, version, engine = "llem-engine-pytorch", "1", "transformers"
    options = options_of(os.path.join(os.path.dirname(os.path.abspath(__file__)), "engine.json"))

    def __init__(self) -> None:
        self.model: Any = None

    def hello(self) -> dict[str, Any]:
        found = libraries()
        return {"engine_version": found.get("transformers"), "libraries": found}

    def schema(self) -> Any:
        import torch  # noqa: F401
        import transformers  # noqa: F401

        return self.options

    # --- load

    def load(self, load: Load) -> Loaded:
        import torch
        import transformers

        if not load.model_path:
            raise Refused("LoadFailed", "load: a folder with config.json is needed")
        unknown = set(load.decoder) - DECODER
        if unknown:
            raise Refused("UnknownKey", f"load: decoder: there is no {', '.join(sorted(unknown))}", unknown=sorted(unknown))
        self.close()
        self.torch, self.load_options, self.decoder = torch, load.options, load.decoder
        self.seed = load.random_seed or 0
        if load.options["n_threads"]:
            torch.set_num_threads(load.options["n_threads"])
        torch.manual_seed(self.seed)
        self.device = self._device(load)
        dtype = getattr(torch, DTYPES[load.precision or "fp32"])
        self.model = transformers.AutoModelForCausalLM.from_pretrained(load.model_path, **self._model_options(load, dtype))
        self.model.eval()
        if not load.options["device_map"] and not load.options["tp_plan"]:
            self.model.to(self.device)
        self.device = next(self.model.parameters()).device
        self._check(load, dtype)
        eos = self.model.generation_config.eos_token_id
        self.eos = set(eos if isinstance(eos, list) else [eos]) - {None}
        self.model.generation_config = transformers.GenerationConfig()  # the folder's own would fill in what is not asked for
        self.tokenizer = self._tokenizer(transformers, load)
        if load.options["torch_compile"]:
            self.model.forward = torch.compile(self.model.forward, mode=load.options["torch_compile_mode"],
                                               backend=load.options["torch_compile_backend"])
        weights = sum(p.numel() * p.element_size() for p in self.model.parameters())
        resolved = {**load.options, "precision": load.precision or "fp32", "random_seed": self.seed,
                    "attn_implementation": self.model.config._attn_implementation, "device": str(self.device)}
        facts = {"threads": torch.get_num_threads(), "parameters": sum(p.numel() for p in self.model.parameters())}
        return Loaded(resolved, transformers.__version__, "gpu" if self.device.type == "cuda" else "cpu",
                      batch=load.options["batch_size"], weights_bytes=weights, facts=facts)

    def _device(self, load: Load) -> Any:
        """A GPU where there is one; never silently the CPU where boards were given."""
        if self.torch.cuda.is_available():
            return self.torch.device("cuda", 0)
        boards = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        if boards not in ("", "-1", "NoDevFiles"):
            load.substitute("device", boards, "cpu", f"torch {self.torch.__version__} sees no CUDA device")
        return self.torch.device("cpu")

    def _model_options(self, load: Load, dtype: Any) -> dict[str, Any]:
        o = load.options
        given = {name: o[name] for name in ("device_map", "max_memory", "tp_plan", "tp_size", "low_cpu_mem_usage", "revision")
                 if o[name] is not None}
        given.update(dtype=dtype, attn_implementation=o["attn_implementation"], trust_remote_code=o["trust_remote_code"],
                     local_files_only=True)
        if o["load_in_4bit"] or o["load_in_8bit"]:
            from transformers import BitsAndBytesConfig

            bnb = {name: o[name] for name in BNB if o[name] is not None}
            given["quantization_config"] = BitsAndBytesConfig(load_in_4bit=o["load_in_4bit"], load_in_8bit=o["load_in_8bit"], **bnb)
        return given

    def _check(self, load: Load, dtype: Any) -> None:
        """What was loaded against what was asked for."""
        used = self.model.config._attn_implementation
        if used != load.options["attn_implementation"]:
            load.substitute("attention", load.options["attn_implementation"], str(used), "the model's class has no other")
        quantised = load.options["load_in_4bit"] or load.options["load_in_8bit"]
        found = next((p.dtype for p in self.model.parameters() if p.is_floating_point()), dtype)
        if found != dtype and not quantised:
            load.substitute("precision", str(dtype), str(found), "the weights were loaded so")

    def _tokenizer(self, transformers: Any, load: Load) -> Any:
        try:
            return transformers.AutoTokenizer.from_pretrained(load.model_path, local_files_only=True,
                                                              trust_remote_code=load.options["trust_remote_code"])
        except (OSError, ValueError) as error:
            print(f"no tokenizer: {error}", flush=True)
            return None

    def tokenize(self, text: str, add_special: bool, parse_special: bool) -> list[int]:
        if self.tokenizer is None:
            raise Refused("NotSupported", "tokenize: the model's folder has no tokenizer")
        return self.tokenizer(text, add_special_tokens=add_special, split_special_tokens=not parse_special)["input_ids"]

    # --- work

    def prepare(self, batch: Batch) -> bool:
        """The prompts as tensors on the device: shorter ones are padded on the left, and the padding is masked."""
        longest = max(len(r.token_ids) for r in batch.requests)
        n_vocab = self.model.get_input_embeddings().weight.shape[0]
        for r in batch.requests:
            if max(r.token_ids) >= n_vocab:
                raise Refused("BadValue", f"prepare: request '{r.id}': token id {max(r.token_ids)}; the vocabulary has {n_vocab}")
        pad = self._pad()
        rows = [[pad] * (longest - len(r.token_ids)) + r.token_ids for r in batch.requests]
        mask = [[0] * (longest - len(r.token_ids)) + [1] * len(r.token_ids) for r in batch.requests]
        batch.inputs = {"input_ids": self.torch.tensor(rows, device=self.device),  # type: ignore[attr-defined]
                        "attention_mask": self.torch.tensor(mask, device=self.device)}
        self._synchronize()
        return True

    def _pad(self) -> int:
        return min(self.eos, default=0)

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            self.torch.cuda.synchronize(self.device)

    def _generation(self, batch: Batch) -> Any:
        from transformers import GenerationConfig

        o, d = self.load_options, self.decoder
        given = {name: o[name] for name in GENERATION if o[name] is not None}
        sample = bool(d.get("do_sample", d.get("temperature", 0)))
        if sample:
            given.update({name: d[name] for name in SAMPLING if d.get(name) is not None})
        if d.get("repetition_penalty") is not None:
            given["repetition_penalty"] = d["repetition_penalty"]
        # End-of-sequence tokens are the stopping criterion's matter: requests of a batch may differ in what they do at one.
        return GenerationConfig(max_new_tokens=max(r.max_tokens for r in batch.requests), do_sample=sample, eos_token_id=None,
                                pad_token_id=self._pad(), **given)

    def _processors(self, n_prompt: int) -> list[Any]:
        from transformers import MinNewTokensLengthLogitsProcessor

        least = self.decoder.get("min_new_tokens") or 0
        if not least or not self.eos:
            return []
        return [MinNewTokensLengthLogitsProcessor(n_prompt, least, sorted(self.eos), device=self.device)]

    def generate(self, batch: Batch) -> None:
        import contextlib

        torch, o = self.torch, self.load_options
        n_prompt = batch.inputs["input_ids"].shape[1]  # type: ignore[attr-defined]
        config, processors = self._generation(batch), self._processors(n_prompt)
        torch.manual_seed(self.seed)  # each batch, so that repeats are equal work
        autocast = (torch.autocast(self.device.type, dtype=getattr(torch, o["autocast_dtype"] or "bfloat16"))
                    if o["autocast_enabled"] else contextlib.nullcontext())
        steps = Steps(batch, n_prompt, self.eos, self.device)
        batch.t0_ns = now_ns()
        with torch.inference_mode(), autocast:
            out = self.model.generate(**batch.inputs, generation_config=config, stopping_criteria=[steps],  # type: ignore[attr-defined]
                                      logits_processor=processors)
        self._synchronize()
        batch.t1_ns = now_ns()
        rows = out[:, n_prompt:].tolist()
        for request, row in zip(batch.requests, rows):  # noqa: B905 (Python 3.9)
            self._take(request, row, steps)
        del batch.inputs  # type: ignore[attr-defined]

    def _take(self, request: Request, row: list[int], steps: Steps) -> None:
        ids = row[: request.max_tokens]
        if not request.ignore_eos:
            end = next((i for i, token in enumerate(ids) if token in self.eos), None)
            if end is not None:
                ids = ids[: end + 1]
                request.finish = "stop"
        for token, stamp_ns in zip(ids, steps.stamps(len(ids))):  # noqa: B905
            request.token(token, stamp_ns)
        if len(request.out_ids) == request.max_tokens:
            request.finish = "length"

    # --- state

    def reset(self, prefix_cache: bool, peak_memory: bool) -> tuple[bool, bool]:
        on_gpu = self.device.type == "cuda"
        if peak_memory and on_gpu:
            self.torch.cuda.reset_peak_memory_stats(self.device)
        return prefix_cache, peak_memory and on_gpu  # no prefix outlives its batch

    def memory(self) -> dict[str, Any]:
        figures: dict[str, Any] = {"rss_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
        if self.device.type != "cuda":
            why = "PyTorch keeps no account of its memory on the CPU"
            return {**figures, "peak_bytes": why, "reserved_peak_bytes": why, "device_bytes": "the model is on the CPU"}
        cuda = self.torch.cuda
        free, total = cuda.mem_get_info(self.device)
        return {**figures, "peak_bytes": cuda.max_memory_allocated(self.device),
                "reserved_peak_bytes": cuda.max_memory_reserved(self.device), "device_bytes": total - free}

    def close(self) -> None:
        self.model = None


if __name__ == "__main__":
    serve(PyTorch())
