#!/usr/bin/env python3
"""Whether llem-worker can start inside a foreign engine image: what objdump says of its needs.

Two properties: it needs no shared library but libc, libm and the loader, and no glibc symbol newer than GLIBC_2.34
(Ubuntu 22.04's base is 2.35, RHEL 9's 2.34). The second depends on the machine that built it: the headers of a newer
glibc ask for names that older ones lack. src/worker/glibc.c stands in for those that are known; any other is an error,
on whatever glibc the build was made.
"""

import platform
import re
import subprocess
import sys

NEWEST = (2, 34)
LIBRARIES = r"lib(c|m)\.so\.6|ld-linux[\w.-]*\.so\.\d+"


def version(text):
    return tuple(int(part) for part in text.split("."))


def needed(objdump_p):
    """The names in the NEEDED rows of `objdump -p`."""
    return re.findall(r"^\s*NEEDED\s+(\S+)", objdump_p, re.M)


def newer_symbols(objdump_t):
    """[(version, symbol)] of `objdump -T` beyond the newest allowed."""
    rows = re.findall(r"\(?GLIBC_([\d.]+)\)?\s+(\S+)$", objdump_t, re.M)
    return sorted((v, symbol) for v, symbol in rows if version(v) > NEWEST)


def errors(objdump_p, objdump_t):
    for name in needed(objdump_p):
        if not re.fullmatch(LIBRARIES, name):
            yield f"needs {name}"
    for v, symbol in newer_symbols(objdump_t):
        yield f"needs {symbol} of GLIBC_{v}"


def main():
    program = sys.argv[1]
    tables = [
        subprocess.run(["objdump", flag, program], check=True, capture_output=True, text=True).stdout
        for flag in ("-p", "-T")
    ]
    found = list(errors(*tables))
    if not found:
        print(f"worker: needs only {', '.join(needed(tables[0]))}")
        return 0
    print("\n".join(f"{program} {e}" for e in found))
    if newer_symbols(tables[1]):
        print(
            f"It was built on {' '.join(platform.libc_ver())} and would not start in an engine image of glibc 2.34: "
            "add a stand-in to src/worker/glibc.c, or build it where glibc is older."
        )
    return 1


if __name__ == "__main__":
    sys.exit(main())
