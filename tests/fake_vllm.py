"""vLLM's adapter on a stand-in for vLLM (tests/engines/fake_vllm), with the Python of this machine."""

import sys

from support import ROOT

FAKES = ROOT / "tests" / "engines" / "fake_vllm"


def python(folder):
    """An interpreter that finds the stand-in first."""
    path = folder / "python-with-fakes"
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{FAKES}:$PYTHONPATH" PYTHONDONTWRITEBYTECODE=1 exec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return path


def model(folder):
    """A folder that will do for a model."""
    made = folder / "model"
    made.mkdir()
    (made / "config.json").write_text('{"architectures": ["LlamaForCausalLM"], "vocab_size": 512}\n')
    (made / "tokenizer.json").write_text("{}\n")
    return made
