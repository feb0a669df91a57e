#!/usr/bin/env python3
"""Counts the skipped tests of a ctest run and, under LLEM_TEST_STRICT=1, fails on a skip without a listed need.

A GTest program prints TAP (`ok 3 /meter/rapl # SKIP needs:rapl …`); a program that skips as a whole exits with 77.
The needs are the first words of the lines of tests/needs.txt.
"""

import argparse
import os
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

NEEDS_FILE = Path(__file__).resolve().parent.parent / "tests" / "needs.txt"


def load_needs(path=NEEDS_FILE):
    """The names of the needs a skip may give."""
    rows = (line.split("#")[0].split() for line in path.read_text().splitlines())
    return {row[0] for row in rows if row}


def need_of(reason, needs):
    """The listed need a reason names, or None."""
    return next((n for n in re.findall(r"needs:([\w-]+)", reason) if n in needs), None)


def skips_of_junit(path):
    """[(test, reason)] of everything skipped in ctest's JUnit file."""
    for case in ET.parse(path).getroot().iter("testcase"):
        name = case.get("name")
        output = case.findtext("system-out") or ""
        taps = re.findall(r"^\s*(?:ok|not ok) \d+ (\S+).*?# SKIP ?(.*)$", output, re.M | re.I)
        for test, reason in taps:
            yield f"{name}:{test}", reason
        if not taps and (case.find("skipped") is not None or case.get("status") in ("notrun", "disabled")):
            yield name, " ".join(output.split())[:300] or "skipped without a reason"


def report(skips, needs, strict):
    """Prints one line a skip and a closing count; returns the exit code."""
    unlisted = [s for s in skips if need_of(s[1], needs) is None]
    for test, reason in skips:
        mark = "" if need_of(reason, needs) else "  <- names no need of tests/needs.txt"
        print(f"skipped: {test}: {reason}{mark}")
    print(f"skips: {len(skips)} in all, {len(unlisted)} without a listed need")
    return 1 if strict and unlisted else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--junit", required=True, type=Path)
    options = parser.parse_args()
    if not options.junit.exists():
        print(f"skips: {options.junit} is missing: ctest did not finish", file=sys.stderr)
        return 1
    strict = os.environ.get("LLEM_TEST_STRICT", "") not in ("", "0")
    return report(list(skips_of_junit(options.junit)), load_needs(), strict)


if __name__ == "__main__":
    sys.exit(main())
