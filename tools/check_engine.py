#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whether an engine's folder is all that a container needs of this machine: check_engine.py FOLDER…

Every program and library in it finds what it links inside the folder, or in the C library of the image; what belongs to
a GPU comes with the driver or the image. The programs themselves start where glibc is 2.34 (as llem-worker does); what
the libraries beside them ask for is said, because they are those of the machine that built them.
"""

import re
import subprocess
import sys
from pathlib import Path

import check_worker

GLIBC = r"ld-linux[\w.-]*\.so\.\d+|lib(c|m|dl|rt|pthread|resolv|util|mvec)\.so\.\d+"
GPU = r"lib(cu|nv|nccl|hip|roc|amdhip|vulkan|OpenCL).*\.so.*"


def objdump(flag, path):
    return subprocess.run(["objdump", flag, path], check=True, capture_output=True, text=True).stdout


def elves(folder):
    """Every ELF file below the folder that is no link."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


def newest_glibc(objdump_t):
    """The newest version of glibc that `objdump -T` asks for."""
    return max(re.findall(r"\(?GLIBC_([\d.]+)\)?", objdump_t), key=check_worker.version, default="0")


def is_program(objdump_p):
    """Position-independent programs and libraries are both DYN; only a program names a loader."""
    return re.search(r"^\s*INTERP\s", objdump_p, re.M) is not None


def missing(names, there):
    """What of the needed names is neither there, nor the C library's, nor a GPU's."""
    return [n for n in names if n not in there and not re.fullmatch(GLIBC, n) and not re.fullmatch(GPU, n)]


def errors(folder):
    there = {path.name for path in folder.rglob("*.so*")}
    for path in elves(folder):
        tables = objdump("-p", path), objdump("-T", path)
        for name in missing(check_worker.needed(tables[0]), there):
            yield f"{path} needs {name}, which is not in {folder}"
        paths = ":".join(re.findall(r"^\s*R(?:UN)?PATH\s+(\S+)", tables[0], re.M))
        if paths and "$ORIGIN" not in paths:
            yield f"{path} looks for its libraries in {paths}, not beside itself"
        if is_program(tables[0]):
            for v, symbol in check_worker.newer_symbols(tables[1]):
                yield f"{path} needs {symbol} of GLIBC_{v}"


def main():
    failed = False
    for folder in map(Path, sys.argv[1:]):
        newest = max((newest_glibc(objdump("-T", p)) for p in elves(folder)), key=check_worker.version, default="none")
        print(f"{folder.name}: starts where glibc is {newest} or newer")
        for error in errors(folder):
            print(error)
            failed = True
    return failed


if __name__ == "__main__":
    sys.exit(main())
