#!/usr/bin/env python3
"""Two rules about names, over src/, engines/, sim/ and bench/.

A function that a public header of a room declares begins with the room's name, the header's, or a prefix registered for
the room in the table "Prefixes" of docs/architecture.md. A function that a comment speaks of, as in "see config_free()", exists.
"""

import re
import sys
from pathlib import Path

from check_layers import EXTRA_PUBLIC

FOLDERS = ("src", "engines", "sim", "bench")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')
DECLARATION = re.compile(
    r"^(?!static\b|typedef\b|#|return\b|else\b)[A-Za-z_][\w\s*]*?\b(\w+)\s*\((?!\*)[^;{}]*\)\s*"
    r"(?:G_GNUC_\w+(?:\([^)]*\))?\s*)*;",
    re.M,
)
SPOKEN = re.compile(r"(?<![\w.>$/-])([a-z][a-z0-9]*(?:_[a-z0-9]+)+)\(\)")


def sources(root, folders):
    return sorted(p for folder in folders for p in (root / folder).rglob("*") if p.suffix in (".c", ".h", ".cc"))


def read_prefixes(text):
    """{room: {prefix}} from the table of docs/architecture.md."""
    head, found, rest = text.partition("\n## Prefixes")
    table = rest.partition("\n## ")[0] if found else ""
    return {room: set(re.findall(r"`(\w+)`", list_)) for room, list_ in re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.M)}


def without_comments(text):
    return COMMENT.sub(lambda m: "\n" * m.group().count("\n"), text)


def prefix_errors(root, prefixes):
    for path in sources(root, ("src",)):
        room = path.relative_to(root / "src").parts[0]
        public = room == "base" or path.stem == room or path.name in EXTRA_PUBLIC.get(room, ())
        if path.suffix != ".h" or not public:
            continue
        allowed = {room, path.stem} | prefixes.get(room, set())
        text = without_comments(path.read_text(errors="replace"))
        for found in DECLARATION.finditer(text):
            name = found.group(1)
            if not any(name == prefix or name.startswith(prefix + "_") for prefix in allowed):
                line = text[: found.start(1)].count("\n") + 1
                yield f"{path.relative_to(root)}:{line}: {name}() begins neither with {room}_ nor with a registered prefix"


def known_names(root):
    """Every identifier of the code, of the system's headers that it includes, and of the libraries in use."""
    names = set()
    for path in sources(root, (*FOLDERS, "tests")):
        names.update(re.findall(r"\b[A-Za-z_]\w*", STRING.sub('""', without_comments(path.read_text(errors="replace")))))
    for path in (*(root / "engines").rglob("*.py"), *(root / "tests").rglob("*.py")):
        names.update(re.findall(r"\b[A-Za-z_]\w*", path.read_text(errors="replace")))
    return names


def comment_errors(root):
    names = known_names(root)
    for path in sources(root, FOLDERS):
        text = path.read_text(errors="replace")
        for comment in COMMENT.finditer(text):
            for spoken in SPOKEN.finditer(comment.group()):
                if spoken.group(1) not in names:
                    line = text[: comment.start() + spoken.start()].count("\n") + 1
                    yield f"{path.relative_to(root)}:{line}: {spoken.group(1)}() does not exist"


def check(root):
    """Every violation under `root`, as text."""
    prefixes = read_prefixes((root / "docs/architecture.md").read_text())
    return [*prefix_errors(root, prefixes), *comment_errors(root)]


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    errors = check(root)
    print("\n".join(errors) if errors else "names: nothing found")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
