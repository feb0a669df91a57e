"""PyTorch's adapter on stand-ins for torch and transformers (tests/engines/fake_torch), with the Python of this machine."""

import sys

from support import ROOT

FAKES = ROOT / "tests" / "engines" / "fake_torch"


def python(folder):
    """An interpreter that finds the stand-ins first."""
    path = folder / "python-with-fakes"
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{FAKES}:$PYTHONPATH" PYTHONDONTWRITEBYTECODE=1 exec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return path


def model(folder, name="model"):
    """A folder that will do for a model."""
    made = folder / name
    made.mkdir()
    (made / "config.json").write_text('{"architectures": ["LlamaForCausalLM"], "vocab_size": 512}\n')
    return made


def noted(folder):
    """Name → values, of every process."""
    given = {}
    for file in sorted(folder.iterdir()):
        for line in file.read_text().splitlines():
            name, _, value = line.partition(" ")
            given.setdefault(name, []).append(value)
    return given
