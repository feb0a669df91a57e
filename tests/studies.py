"""Studies for the tests: YAML from Python, the folder a run leaves, its records checked against their schemas."""

import json
import struct
from pathlib import Path

import support

# Small and quick, on the scripted engine; every value is overridable by dotted path.
SIM = {
    "model": "scripted",
    "backend": "sim",
    "n": 2,
    "max_output_tokens": 4,
    "max_input_tokens": 16,
    "warmup.n_warmup": 1,
    "warmup.max_prompts": 5,
    "baseline.enabled": False,
    "energy.modelled": True,
}


def write(path, fields=None, sweep=None, execution=None, **more):
    """A study or experiment file in JSON (which is YAML): dotted keys become sections."""
    tree = {}
    for dotted, value in {**SIM, **(fields or {}), **more}.items():
        at = tree
        *sections, name = dotted.split(".")
        for section in sections:
            at = at.setdefault(section, {})
        at[name] = value
    if sweep is not None:
        tree["sweep"] = sweep
    if execution is not None:
        tree["execution"] = execution
    path.write_text(json.dumps(tree, indent=1))
    return path


def gguf(path, file_type=1, keep=None):
    """The head of a GGUF file with one tensor of 32 numbers: facts can be read from it, it cannot be run.

    file_type: 0 holds f32, 1 f16, 7 q8_0 by its own word; keep: bytes left of it.
    """

    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    pairs = text("general.architecture") + struct.pack("<I", 8) + text("llama")
    for key, value in {"general.file_type": file_type, "llama.context_length": 2048}.items():
        pairs += text(key) + struct.pack("<II", 4, value)
    tensor = text("token_embd.weight") + struct.pack("<IQIQ", 1, 32, 0, 0)
    head = struct.pack("<4sIQQ", b"GGUF", 3, 1, 3) + pairs + tensor
    whole = head + bytes(-len(head) % 32) + bytes(32 * 4)
    path.write_bytes(whole[:keep])
    return path


class Study:
    """The folder of one study."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.description = json.loads((self.folder / "study.json").read_text())
        self.cells = [json.loads(line) for line in (self.folder / "cells.jsonl").read_text().splitlines()]
        lines = (self.folder / "journal.jsonl").read_text().splitlines()
        self.journal = [json.loads(line) for line in lines]

    @property
    def runs(self):
        return sorted(p for p in self.folder.iterdir() if p.is_dir() and p.name[:3].isdigit())

    def result(self, index=0):
        return json.loads((self.runs[index] / "result.json").read_text())

    def error(self, index=0):
        return json.loads((self.runs[index] / "error.json").read_text())

    def states(self):
        """The last state of every run that was begun or skipped, in the order of the plan."""
        last = {line["run"]: line["state"] for line in self.journal}
        return [last[run] for run in sorted(last)]


def the_study(results):
    folders = [p for p in Path(results).iterdir() if (p / "study.json").exists()]
    assert len(folders) == 1, folders
    return Study(folders[0])


def check_records(llem, study):
    """Every record of the study fits its schema, and no file is torn or left over."""
    exchange = json.loads(llem.ok("result", "schema", "--exchange"))
    schemas = {
        "result.json": json.loads(llem.ok("result", "schema")),
        "error.json": json.loads(llem.ok("result", "schema", "--error")),
    }
    for run in study.runs:
        records = [name for name in schemas if (run / name).exists()]
        assert len(records) == 1, (run, records)
        support.validate(schemas[records[0]], run / records[0])
        support.validate(exchange, run / "config.json")
        if (run / "host_energy.json").exists():
            support.validate(json.loads(llem.ok("result", "schema", "--host")), run / "host_energy.json")
    left = [p for p in study.folder.rglob("*") if p.name.endswith((".tmp", ".partial")) or ".exchange" in p.name]
    assert not left, left


def metric(record, name):
    return record["metrics"][name]


# Joules of CPU time at one stated number of watts: their interval is that of the readings alone.
MODELLED = {"energy.modelled": True, "energy.modelled_watts_per_core": [5, 5]}


def check_is_a_part(part, whole):
    """A part and its whole are read at moments of their own: no more apart than the readings leave open."""
    assert 0 < part["value"] and part["low"] <= whole["high"], (part, whole)
    doubt = part["high"] - part["low"] + whole["high"] - whole["low"]
    assert part["value"] <= whole["value"] + doubt and doubt < whole["value"], (part, whole)
