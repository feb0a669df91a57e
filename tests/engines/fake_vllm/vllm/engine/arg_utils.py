"""AsyncEngineArgs with the fields that engine.json speaks of, as vLLM types them, and some that it types otherwise."""

import dataclasses
import enum
from types import SimpleNamespace
from typing import Any

from ..config import CLASSES, ROWS, CompilationConfig, CompilationMode, CUDAGraphMode, PassConfig, type_of
from ..noting import has, note


class AttentionBackendEnum(enum.Enum):
    CPU_ATTN = "vllm.cpu"
    FLASH_ATTN = "vllm.flash"


class OptimizationLevel(enum.IntEnum):
    O0 = 0
    O1 = 1
    O2 = 2
    O3 = 3


ODD = {"attention_backend": (AttentionBackendEnum | None, None), "optimization_level": (OptimizationLevel, OptimizationLevel.O2),
       "quantization_config": (dict | SimpleNamespace | None, None), "offload_params": (set, dataclasses.field(default_factory=set)),
       "speculative_config": (dict | None, None), "spec_method": (str | None, None),
       "gpu_memory_utilization": (float, 0.92), "long_prefill_token_threshold": (int, -1)}


def fields():
    made = {row["name"]: (Any, None) for row in [*ROWS["owned"], *ROWS["pass_through"].get("arguments", [])]}
    for row in ROWS["options"]:
        section, _, name = row["name"].partition(".")
        if section == "engine" and "." not in name:
            made[name] = (type_of(row), None)
    made.update({name: (kind, dataclasses.field(default_factory=kind)) for name, kind in CLASSES.items()})
    return {**made, **ODD}


def compilation(args):
    given = args.compilation_config
    mode = CompilationMode.VLLM_COMPILE if given.mode is None or has("compiles") else given.mode
    graphs = CUDAGraphMode.FULL_AND_PIECEWISE if given.cudagraph_mode is None else given.cudagraph_mode
    if has("no_graphs"):
        graphs = CUDAGraphMode.NONE
    return CompilationConfig(mode=mode, backend=given.backend or "inductor", cudagraph_mode=graphs,
                             custom_ops=["none", *given.custom_ops], pass_config=PassConfig(False, True))


def create_engine_config(self, context):
    for field in dataclasses.fields(self):
        note(f"engine.{field.name}", getattr(self, field.name))
    note("usage_context", context.value)
    scheduler = SimpleNamespace(max_num_seqs=self.max_num_seqs or 256, max_num_batched_tokens=self.max_num_batched_tokens or 2048,
                                async_scheduling=False if has("synchronous") else self.async_scheduling)
    model = SimpleNamespace(dtype=f"torch.{'float32' if self.dtype == 'auto' or has('float32') else self.dtype}",
                            max_model_len=self.max_model_len or 8192, skip_tokenizer_init=bool(self.skip_tokenizer_init),
                            get_vocab_size=lambda: 512)
    cache = SimpleNamespace(enable_prefix_caching=self.enable_prefix_caching, kv_cache_memory_bytes=self.kv_cache_memory_bytes,
                            gpu_memory_utilization=self.gpu_memory_utilization)
    return SimpleNamespace(scheduler_config=scheduler, model_config=model, cache_config=cache, speculative_config=speculation(self),
                           compilation_config=compilation(self))


def speculation(args):
    """What vLLM makes of it; the mapping that it was given has its objects in it then."""
    given = args.speculative_config
    alone = {"method": args.spec_method, "model": args.spec_model, "num_speculative_tokens": args.spec_tokens}
    if any(alone.values()):
        given = {**(given or {}), **{key: value for key, value in alone.items() if value is not None}}
    if given is None or has("guesses_nothing"):
        return None
    tokens = 1 if has("guesses_one") else given.get("num_speculative_tokens", 3)
    made = SimpleNamespace(method=given.get("method", "draft_model"), num_speculative_tokens=tokens, model=given.get("model"))
    given["target_model_config"] = made
    return made


AsyncEngineArgs = dataclasses.make_dataclass("AsyncEngineArgs", [(name, kind, default) for name, (kind, default) in fields().items()],
                                             namespace={"create_engine_config": create_engine_config})
AsyncEngineArgs.__module__ = __name__
