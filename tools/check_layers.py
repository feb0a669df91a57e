#!/usr/bin/env python3
"""Holds every #include to the layers: a room includes only rooms that its row in docs/architecture.md allows.

The table "Rooms" is the one statement of the order and of who may include whom. Checked against it: the quoted
#includes of src/, engines/ and sim/; the DEPS of llem_room() in src/*/CMakeLists.txt; the order of src/CMakeLists.txt;
and the table itself (a room may name only rooms above it). And the judge of accuracy: what draws boards and sensors
(tests/accuracy/nature.*) sees nothing of the estimators it judges, but for what a meter tells them.
"""

import re
import sys
from pathlib import Path

# Folders that hold programs, and the rooms they may include. Nothing includes them.
PROGRAMS = {"src/worker": {"base", "experiment"}, "engines": {"base", "engine", "workload"}, "sim": {"base", "meter"}}
# Headers another room may include besides ROOM/ROOM.h. Everything in base is public.
EXTRA_PUBLIC = {"energy": {"scopes.h"}, "meter": {"channel.h", "sampler.h", "nvml_abi.h"}}
# Headers made by the build.
GENERATED = {"version.h"}
# What the judge's nature may include, and what it may not name: the estimators' own.
NATURE = {"accuracy/nature.h", "meter/channel.h", "sim/model.h"}
ESTIMATORS = re.compile(r"\b(?:ENERGY|energy)_\w+")
# Constants that the estimators define, whatever they are called: macros and enumerators.
CONSTANTS = re.compile(r"^\s*#\s*define\s+([A-Z]\w+)|^\s+([A-Z][A-Z0-9_]+)\s*(?:=[^=]|,|$)", re.M)


def read_table(text):
    """{room: set of rooms it may include}, in the order of the table."""
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([^|]*?) \|$", text[text.index("\n## Rooms") :], re.M)
    rooms = {}
    for name, allowed in rows:
        above = list(rooms)
        if allowed.startswith("all"):  # "all above", "all but x, y", "all above but x"
            rooms[name] = set(above) - set(re.findall(r"\w+", allowed.partition(" but ")[2]))
        else:
            rooms[name] = set(re.findall(r"\w+", allowed))
        rooms[name].discard(name)
    return rooms


def table_errors(rooms):
    above = []
    for name, allowed in rooms.items():
        for other in sorted(allowed - set(above)):
            yield f"docs/architecture.md: room {name} names {other}, which does not stand above it"
        above.append(name)


def includes(path):
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        found = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
        if found:
            yield number, found.group(1)


def sources(folder):
    return sorted(p for p in folder.rglob("*") if p.suffix in (".c", ".h", ".cc", ".cpp"))


def include_errors(root, path, own, allowed, rooms):
    """The errors of one file of the room (or of the folder of programs) `own`."""
    for number, name in includes(path):
        where = f'{path.relative_to(root)}:{number}: includes "{name}"'
        room, slash, header = name.partition("/")
        if not slash:
            if name not in GENERATED and not (path.parent / name).exists():
                yield f"{where}: no such header in its own folder; name the room"
        elif room == own or (own in PROGRAMS and (root / own / name).exists()):
            continue  # its own, or a neighbour's below engines/
        elif room not in rooms:
            yield f"{where}: no room {room} in docs/architecture.md"
        elif room not in allowed:
            order = list(rooms)
            way = "up" if own in order and order.index(room) > order.index(own) else "sideways"
            yield f"{where}: goes {way}; {own} may include only {', '.join(sorted(allowed)) or 'nothing'}"
        elif room != "base" and header != f"{room}.h" and header not in EXTRA_PUBLIC.get(room, ()):
            yield f"{where}: a private header of {room}"


def dep_errors(root, rooms):
    """llem_room(… DEPS …) against the table, and the order of add_subdirectory."""
    listed = re.findall(r"add_subdirectory\((\w+)\)", (root / "src/CMakeLists.txt").read_text())
    order = [room for room in rooms if room in listed]
    if [room for room in listed if room in rooms] != order:
        yield f"src/CMakeLists.txt: the order is not the table's: {', '.join(order)}"
    for room in listed:
        if f"src/{room}" in PROGRAMS:
            continue
        if room not in rooms:
            yield f"src/CMakeLists.txt: room {room} is not in docs/architecture.md"
            continue
        text = re.sub(r"#.*", "", (root / "src" / room / "CMakeLists.txt").read_text())
        for body in re.findall(r"llem_room\(\s*" + room + r"\b([^)]*)\)", text):
            deps = re.search(r"\bDEPS\b((?:\s+\w+)*?)(?=\s+LIBS\b|\s*$)", body)
            for dep in deps.group(1).split() if deps else []:
                if dep not in rooms[room]:
                    yield f"src/{room}/CMakeLists.txt: depends on {dep}, which its row does not allow"


def nature_errors(root):
    """Constants in common with the estimators would prove nothing of them."""
    texts = [re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S) for path in sources(root / "src/energy")]
    constants = {name for text in texts for pair in CONSTANTS.findall(text) for name in pair if name}
    for path in sorted((root / "tests/accuracy").glob("nature.*")):
        where = path.relative_to(root)
        for number, name in includes(path):
            if name not in NATURE:
                yield f'{where}:{number}: includes "{name}"; the judge may include only {", ".join(sorted(NATURE))}'
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for name in ESTIMATORS.findall(line) + [word for word in re.findall(r"\w+", line) if word in constants]:
                yield f"{where}:{number}: names {name}, which is the estimators'"


def check(root):
    """Every violation under the checkout `root`, as text."""
    rooms = read_table((root / "docs/architecture.md").read_text())
    errors = list(table_errors(rooms)) + list(dep_errors(root, rooms))
    for path in sources(root / "src"):
        own = path.relative_to(root / "src").parts[0]
        if own in rooms:
            errors += include_errors(root, path, own, rooms[own], rooms)
        elif f"src/{own}" not in PROGRAMS:
            errors.append(f"{path.relative_to(root)}: folder {own} is not a room of docs/architecture.md")
    for folder, allowed in PROGRAMS.items():
        for path in sources(root / folder):
            errors += include_errors(root, path, folder, allowed, rooms)
    return errors + list(nature_errors(root))


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    errors = check(root)
    print("\n".join(errors) if errors else "layers: every include stays inside its row")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
