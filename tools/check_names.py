#!/usr/bin/env python3
"""Engines and sensors are known by their folder and their file: no other code may speak of one by name.

A string literal of src/ must not be an engine's name, nor begin with it and a dot (an option's path), but for one
constant DEFAULT_BACKEND. The names are those of engines/*/engine.json. Nor may it be a sensor source's name, or begin
with it and a dot or a colon (a channel), but in the source's own file. The names are the rows of src/base/sources.h.
"""

import json
import re
import sys
from pathlib import Path

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|\'(?:\\.|[^\\\'\n])*\'|"((?:\\.|[^"\\\n])*)"', re.S)
CONSTANT = re.compile(r"\bDEFAULT_BACKEND\b")

# Literals that are another word of the same spelling: (file, literal).
HOMONYMS = {
    ("src/base/quantity.c", "modelled"),  # the status of a figure
    ("src/cli/cmd_meter.c", "replay"),  # the option --replay
}


def engine_names(root):
    return sorted(json.loads(p.read_text())["name"] for p in root.glob("engines/*/engine.json"))


def source_names(root):
    path = root / "src/base/sources.h"
    text = path.read_text() if path.exists() else ""
    return re.findall(r"^\s*X\((\w+),", text, re.M)


def literals(text):
    """(line, content of a string literal, the text of its line) outside of comments."""
    lines = text.splitlines()
    for match in TOKEN.finditer(text):
        if match.group(1) is not None:
            number = text.count("\n", 0, match.start()) + 1
            yield number, match.group(1), lines[number - 1]


def matcher(names, behind):
    """The names, alone or with what `behind` matches after them."""
    return re.compile(rf"({'|'.join(map(re.escape, names))})({behind}|$)") if names else None


def bare(literal):
    """JSON text of a name, negated or not ("!\\"sim\\""), is the name as well."""
    return literal.replace('\\"', "").lstrip("!")


def check(root):
    """Every violation under `root`, as text."""
    engines = matcher(engine_names(root), r"\.")
    sources = matcher(source_names(root), r"\.|:[^ ]")
    errors, constants = [], []
    for path in sorted(p for suffix in ("c", "h", "cc") for p in root.glob(f"src/**/*.{suffix}")):
        name = str(path.relative_to(root))
        for number, literal, line in literals(path.read_text(errors="replace")):
            where = f"{name}:{number}: "
            if engines and engines.match(bare(literal)):
                if CONSTANT.search(line):
                    constants.append(where)
                else:
                    errors.append(f'{where}"{literal}" speaks of an engine by name (ask backend.h for a role or a fact)')
            found = sources.match(literal) if sources else None
            if found and path.stem.split("_")[0] != found.group(1) and (name, literal) not in HOMONYMS:
                errors.append(f'{where}"{literal}" speaks of a sensor source by name (make it a flag of its row)')
    if len(constants) > 1:
        errors += [f"{where}DEFAULT_BACKEND is set more than once" for where in constants]
    return errors


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    errors = check(root)
    print("\n".join(errors) if errors else "names: nothing found")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
