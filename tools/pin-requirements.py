#!/usr/bin/env python3
"""Pins tools/requirements-test.in to exact versions with the hashes of every wheel the supported machines need.

Asks pip itself (a dry run per Python version and processor, wheels only) and writes tools/requirements-test.txt.
Run by hand when a version is to move; the result is committed.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]  # Ubuntu 22.04, Debian 12, Ubuntu 24.04, Debian 13, Ubuntu 26.04
PROCESSORS = ["x86_64", "aarch64"]
GLIBCS = [
    "manylinux_2_17",
    "manylinux2014",
    "manylinux_2_26",
    "manylinux_2_27",
    "manylinux_2_28",
    "manylinux_2_31",
    "manylinux_2_34",
]
TOOLS = Path(__file__).resolve().parent


def wanted(python):
    """The names in the list that apply to one Python version."""
    for line in (TOOLS / "requirements-test.in").read_text().splitlines():
        name, _, only = line.partition("#")[0].partition(";")
        if name.strip() and (not only.strip() or only.strip() == python):
            yield name.strip()


def resolve(python, processor, scratch):
    """pip's own answer: [(name, version, sha256)]."""
    report = Path(scratch) / "report.json"
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--dry-run",
        "--ignore-installed",
        "--only-binary",
        ":all:",
        "--target",
        str(Path(scratch) / "target"),
        "--report",
        str(report),
        "--python-version",
        python,
    ]
    for glibc in GLIBCS:
        command += ["--platform", f"{glibc}_{processor}"]
    environment = {k: v for k, v in os.environ.items() if k != "PIP_FIND_LINKS"}
    subprocess.run(command + list(wanted(python)), check=True, env=environment, stderr=subprocess.DEVNULL)
    for row in json.loads(report.read_text())["install"]:
        name = row["metadata"]["name"].lower().replace("_", "-")
        yield name, row["metadata"]["version"], row["download_info"]["archive_info"]["hashes"]["sha256"]


def main():
    pins = {}  # (name, version) -> (pythons, hashes)
    with tempfile.TemporaryDirectory() as scratch:
        for python in PYTHONS:
            for processor in PROCESSORS:
                for name, version, digest in resolve(python, processor, scratch):
                    pythons, hashes = pins.setdefault((name, version), (set(), set()))
                    pythons.add(python)
                    hashes.add(digest)
    out = ["# Written by tools/pin-requirements.py from requirements-test.in; do not edit."]
    for (name, version), (pythons, hashes) in sorted(pins.items()):
        line = f"{name}=={version}"
        if len(pythons) < len(PYTHONS):
            line += " ; " + " or ".join(f'python_version == "{p}"' for p in PYTHONS if p in pythons)
        out.append(" \\\n    ".join([line] + [f"--hash=sha256:{h}" for h in sorted(hashes)]))
    (TOOLS / "requirements-test.txt").write_text("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
