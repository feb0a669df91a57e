#!/usr/bin/env python3
"""No circle of files: within a library, a file calls only files that do not call it, directly or by others.

Reads the symbols of the object files of a build (nm): who defines what, who needs what. A circle is a group of files
that can only be understood, tested and changed together; what they share belongs below them, or what closes it above.
"""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path


def symbols(objects):
    """{object: (defined, needed)} of object files."""
    table = {path: (set(), set()) for path in objects}
    done = subprocess.run(["nm", "-A", "-g", "-P", *map(str, objects)], capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        name, symbol, kind = line.split()[:3]
        defined, needed = table[Path(name.rstrip(":"))]
        (needed if kind in "Uw" else defined).add(symbol)
    return table


def calls(table):
    """{object: the others that define what it needs}."""
    home = {symbol: path for path, (defined, _) in table.items() for symbol in defined}
    return {path: {home[s] for s in needed if s in home} - {path} for path, (_, needed) in table.items()}


def circles(graph):
    """Groups of more than one node that reach each other (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def check(build):
    """Every circle of a build folder, as text."""
    libraries = defaultdict(list)
    for path in sorted(build.glob("**/CMakeFiles/*.dir/**/*.o")):
        libraries[path.parents[[p.suffix for p in path.parents].index(".dir")]].append(path)
    for folder, objects in libraries.items():
        where = folder.parent.parent.relative_to(build)
        if where.parts[0] not in ("src", "engines", "sim"):
            continue
        graph = calls(symbols(objects))
        for group in circles(graph):
            names = [path.name.removesuffix(".o") for path in group]
            arrows = ", ".join(
                f"{a.name.removesuffix('.o')} calls {b.name.removesuffix('.o')}"
                for a in group
                for b in sorted(graph[a])
                if b in group
            )
            yield f"{where}: {' and '.join(names)} are a circle: {arrows}"


def main():
    errors = list(check(Path(sys.argv[1]).resolve()))
    print("\n".join(errors) if errors else "circles: none")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
