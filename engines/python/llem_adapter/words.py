# SPDX-License-Identifier: MIT
"""Errors that an adapter answers with, and the checks that lead to most of them."""

from __future__ import annotations

import math
from typing import Any
from collections.abc import Iterable, Mapping

Json = Any
PROTOCOL = 1
MAX_DEPTH = 64


class Refused(Exception):
    """A request is answered with an error of this class; the adapter goes on."""

    def __init__(self, kind: str, message: str, oom: bool = False, unknown: list[str] | None = None) -> None:
        super().__init__(message)
        self.kind, self.message, self.oom, self.unknown = kind, message, oom, unknown


def type_of(value: Json) -> str:
    """The word of the schema for a JSON value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    names = {int: "integer", float: "number", str: "string", list: "list", dict: "mapping"}
    return names.get(type(value), type(value).__name__)


def fits(value: Json, wanted: str) -> bool:
    """True if a value is of a schema's type; a whole number is a number too."""
    found = type_of(value)
    if wanted == "numbers":
        items = value if found == "list" else [value]
        return bool(items) and all(fits(item, "number") for item in items)
    return wanted == "any" or found == wanted or (wanted == "number" and found == "integer")


def refuse_unknown(names: Iterable[str], known: Iterable[str], part: str) -> None:
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise Refused("UnknownKey", f"{part}: there is no {', '.join(repr(name) for name in unknown)}", unknown=unknown)


def check_members(members: Mapping[str, Json], rows: Mapping[str, tuple[str, bool]], part: str) -> dict[str, Json]:
    """Holds an object to its rows, name → (type, required). null counts as absent. What is there."""
    refuse_unknown(members, rows, part)
    present = {name: value for name, value in members.items() if value is not None}
    for name, (wanted, required) in rows.items():
        if name not in present:
            if required:
                raise Refused("BadValue", f"{part}: '{name}' is missing")
        elif not fits(present[name], wanted):
            raise Refused("BadValue", f"{part}: '{name}' must be {a(wanted)}, not {a(type_of(present[name]))}")
    return present


def a(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def unsayable(value: Json, path: str, depth: int = 0) -> str | None:
    """Which member of a reply is nothing that a line can hold, and what it is; None where there is none."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"'{path}' is {value}"
    if isinstance(value, str) and value != value.encode("utf-8", "replace").decode():
        return f"'{path}' is no text of Unicode: {ascii(value)}"
    if isinstance(value, (dict, list, tuple)) and depth == MAX_DEPTH:
        return f"'{path}' is nested deeper than {MAX_DEPTH}"
    if isinstance(value, dict):
        odd = [key for key in value if not isinstance(key, (str, int))]
        if odd:
            return f"'{path}' has a member {odd[0]!r}, whose name is no string"
        parts = ((f"{path}.{key}" if path else key, part) for key, part in value.items())
    elif isinstance(value, (list, tuple)):
        parts = ((f"{path}[{i}]", part) for i, part in enumerate(value))
    else:
        known = value is None or isinstance(value, (bool, int, float, str))
        return None if known else f"'{path}' is of the type {type(value).__name__}"
    return next((found for name, part in parts if (found := unsayable(part, name, depth + 1))), None)
