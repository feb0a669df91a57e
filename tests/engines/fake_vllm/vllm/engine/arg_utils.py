"""AsyncEngineArgs with the fields that engine.json speaks of, as vLLM types them, and some that it types otherwise."""

import dataclasses
import enum
import json
import os
import sys
from types import SimpleNamespace
from typing import Any, Literal

from ..noting import has, note

DESCRIPTOR = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "engine.json")
TYPES = {"boolean": bool, "integer": int, "number": float, "string": str, "mapping": dict, "integers": list}


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
    with open(DESCRIPTOR, encoding="utf-8") as file:
        descriptor = json.load(file)
    made = {row["name"]: (Any, None) for row in [*descriptor["owned"], *descriptor["pass_through"].get("arguments", [])]}
    for row in descriptor["options"]:
        section, _, name = row["name"].rpartition(".")
        choices = [choice if isinstance(choice, str) else choice["name"] for choice in row.get("choices", [])]
        kind = Literal[tuple(choices)] if choices else TYPES.get(row["type"])
        if section == "engine":
            made[name] = (kind | None, None)
    return {**made, **ODD}


class CompilationMode(enum.IntEnum):
    NONE = 0
    VLLM_COMPILE = 3


class CUDAGraphMode(enum.Enum):
    NONE = 0
    FULL_AND_PIECEWISE = (2, 1)


@dataclasses.dataclass
class PassConfig:
    fuse_norm_quant: bool | None = None
    eliminate_noops: bool | None = None


@dataclasses.dataclass
class CompilationConfig:
    """With what is asked for, what this makes of the rest, and something of its own."""

    mode: CompilationMode = CompilationMode.VLLM_COMPILE
    cudagraph_mode: CUDAGraphMode = CUDAGraphMode.FULL_AND_PIECEWISE
    custom_ops: list = dataclasses.field(default_factory=list)
    pass_config: PassConfig = dataclasses.field(default_factory=PassConfig)
    cache_dir: str = "/nowhere"
    traced_files: set = dataclasses.field(default_factory=set, init=False)


def compilation(args):
    given = args.compilation_config or {}
    made = CompilationConfig(custom_ops=["none", *given.get("custom_ops", [])], pass_config=PassConfig(False, True))
    if "mode" in given and not has("compiles"):
        made.mode = CompilationMode(given["mode"])
    if "cudagraph_mode" in given and not has("no_graphs"):
        made.cudagraph_mode = CUDAGraphMode[given["cudagraph_mode"]]
    if has("no_graphs"):
        made.cudagraph_mode = CUDAGraphMode.NONE
    return made


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
