# SPDX-License-Identifier: MIT
"""folder_of_gguf.py SOURCE TARGET: a Hugging Face folder, float32 and safetensors, of a GGUF file."""

from __future__ import annotations

import os
import sys

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")


def main(source: str, target: str) -> None:
    import torch
    import transformers

    folder, name = os.path.split(os.path.abspath(source))
    read = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=name)
    fields = read.config.to_dict()
    fields.pop("quantization_config", None)  # a model that says it is of GGUF weights cannot be saved
    model = type(read)(type(read.config)(**fields)).to(torch.float32)
    model.load_state_dict(read.state_dict())
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
