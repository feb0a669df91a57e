#!/usr/bin/env python3
"""Engines and sensors are known by their folder and their file: no other code may speak of one by name.

A string literal of src/ must not be an engine's name, nor begin with it and a dot (an option's path), but for one
constant DEFAULT_BACKEND. The names are those of engines/*/engine.json. Nor may it be a sensor source's name, or begin
with it and a dot or a colon (a channel), but in the source's own file; where the name is no word of another meaning, code
and messages may not have it anywhere. The names are the rows of src/base/sources.h.
"""

import json
import re
import sys
from pathlib import Path

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|\'(?:\\.|[^\\\'\n])*\'|"((?:\\.|[^"\\\n])*)"', re.S)
CONSTANT = re.compile(r"\bDEFAULT_BACKEND\b")

# Names that are words of their own: only a literal that begins with one is taken for the source.
WORDS = {"modelled", "replay"}
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


def without_comments(text):
    """The same lines without comments."""
    return TOKEN.sub(lambda m: re.sub(r"[^\n]", " ", m.group()) if m.group().startswith("/") else m.group(), text)


def words(text, names):
    """(line, name) wherever a name stands alone or as a part of an identifier: meter_NAME, NAME_library, LLEM_NAME_X."""
    pattern = re.compile(rf"(?<![a-z])({'|'.join(map(re.escape, names))})(?![a-z])", re.I)
    for number, line in enumerate(without_comments(text).splitlines(), 1):
        for match in pattern.finditer(line):
            yield number, match.group(1).lower()


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
    names = [n for n in source_names(root) if n not in WORDS]
    errors, constants = [], []
    for path in sorted(p for suffix in ("c", "h", "cc") for p in root.glob(f"src/**/*.{suffix}")):
        name, text = str(path.relative_to(root)), path.read_text(errors="replace")
        for number, found in words(text, names) if names and name != "src/base/sources.h" else ():
            if path.stem.split("_")[0] != found:
                errors.append(f"{name}:{number}: code speaks of a sensor source, {found} (make it a flag of its row, or an operation)")
        for number, literal, line in literals(text):
            where = f"{name}:{number}: "
            if engines and engines.match(bare(literal)):
                if CONSTANT.search(line):
                    constants.append(where)
                else:
                    errors.append(f'{where}"{literal}" speaks of an engine by name (ask backend.h for a role or a fact)')
            found = sources.match(literal) if sources else None
            if found and found.group(1) in WORDS and path.stem.split("_")[0] != found.group(1) and (name, literal) not in HOMONYMS:
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
