"""Adapters in Python on stand-ins for their engines (tests/engines/fake_NAME), with the Python of this machine."""

import sys

from support import ROOT


def folder_of(name):
    """Where the stand-ins of an engine lie: "torch", "vllm"."""
    return ROOT / "tests" / "engines" / f"fake_{name}"


def python(folder, name):
    """An interpreter that finds the stand-ins first."""
    path = folder / "python-with-fakes"
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{folder_of(name)}:$PYTHONPATH" PYTHONDONTWRITEBYTECODE=1 exec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return path


def model(folder, name="model", tokenizer=False):
    """A folder that will do for a model."""
    made = folder / name
    made.mkdir()
    (made / "config.json").write_text('{"architectures": ["LlamaForCausalLM"], "vocab_size": 512}\n')
    if tokenizer:
        (made / "tokenizer.json").write_text("{}\n")
    return made


def noted(folder):
    """Name → values, of every process."""
    given = {}
    for file in sorted(folder.iterdir()):
        for line in file.read_text().splitlines():
            name, _, value = line.partition(" ")
            given.setdefault(name, []).append(value)
    return given
