#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pin-engines.py LOCK...: looks the hashes of a lock of engines/python/locks up again, after versions in it were changed.

Asks pip itself (a dry run, wheels only, nothing but what is listed). Run by hand, with the Python the lock is for.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path


def pins(lock):
    """NAME==VERSION of every line."""
    return [line.split(" --hash")[0] for line in lock.read_text().splitlines() if "==" in line and not line.startswith("#")]


def hashes(wanted):
    """{NAME==VERSION: sha256} as pip finds them."""
    with tempfile.TemporaryDirectory() as scratch:
        listed, report = Path(scratch) / "list.txt", Path(scratch) / "report.json"
        listed.write_text("\n".join(wanted))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps"]
        command += ["--only-binary", ":all:", "--report", str(report), "-r", str(listed)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        found = json.loads(report.read_text())["install"]
    names = ((row["metadata"]["name"].lower().replace("_", "-"), row) for row in found)
    return {f"{name}=={row['metadata']['version']}": row["download_info"]["archive_info"]["hashes"]["sha256"] for name, row in names}


def main():
    for lock in map(Path, sys.argv[1:]):
        head = [line for line in lock.read_text().splitlines() if line.startswith("#")]
        rows = hashes(pins(lock))
        first = [pin for pin in rows if pin.startswith("torch==")]  # the one that most indexes lack
        rest = sorted(pin for pin in rows if pin not in first)
        lock.write_text("\n".join(head + [f"{pin} --hash=sha256:{rows[pin]}" for pin in first + rest]) + "\n")


if __name__ == "__main__":
    main()
