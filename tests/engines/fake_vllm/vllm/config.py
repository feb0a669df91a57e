"""Classes of vLLM's that mappings become, with the members that engine.json speaks of and some that it leaves to what is installed."""

import dataclasses
import enum
import json
import os
import sys
from typing import Any, Literal

with open(os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "engine.json"), encoding="utf-8") as file:
    ROWS = json.load(file)
TYPES = {"boolean": bool, "integer": int, "number": float, "string": str, "mapping": dict, "integers": list, "list": list}


def type_of(row):
    choices = [choice if isinstance(choice, str) else choice["name"] for choice in row.get("choices", [])]
    kind = Literal[tuple(choices)] if choices else TYPES.get(row["type"])
    return kind | None


def of_rows(name, argument, *more):
    """A class with the rows below engine.ARGUMENT."""
    prefix = f"engine.{argument}."
    rows = [row for row in ROWS["options"] if row["name"].startswith(prefix)]
    fields = [(row["name"][len(prefix):], type_of(row), None) for row in rows]
    return dataclasses.make_dataclass(name, [*fields, *more])


class CompilationMode(enum.IntEnum):
    NONE = 0
    STOCK_TORCH_COMPILE = 1
    VLLM_COMPILE = 3


class CUDAGraphMode(enum.Enum):
    NONE = 0
    PIECEWISE = 1
    FULL_AND_PIECEWISE = (2, 1)


@dataclasses.dataclass
class PassConfig:
    fuse_norm_quant: bool | None = None
    eliminate_noops: bool | None = None


@dataclasses.dataclass
class CompilationConfig:
    """With what is asked for, and something of its own."""

    mode: CompilationMode | None = None
    backend: str = ""
    cudagraph_mode: CUDAGraphMode | None = None
    custom_ops: list = dataclasses.field(default_factory=list)
    pass_config: PassConfig = dataclasses.field(default_factory=PassConfig)
    cache_dir: str = "/nowhere"
    traced_files: set = dataclasses.field(default_factory=set, init=False)


AttentionConfig = of_rows("AttentionConfig", "attention_config", ("backend", Any, None))
IrOpPriorityConfig = of_rows("IrOpPriorityConfig", "ir_op_priority")
SpeculativeConfig = of_rows("SpeculativeConfig", "speculative_config", ("target_model_config", Any, None))
CLASSES = {"compilation_config": CompilationConfig, "attention_config": AttentionConfig, "ir_op_priority": IrOpPriorityConfig}
