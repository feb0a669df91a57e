# SPDX-License-Identifier: MIT
"""An option is a row: what `schema` says, what is refused, and its default all come from it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from collections.abc import Iterator, Mapping, Sequence

from .words import Json, Refused, a, fits, refuse_unknown, type_of


@dataclass(frozen=True)
class Option:
    name: str  # dotted where `load` nests it
    type: str  # integer, number, numbers, boolean, string, list, mapping, any
    default: Json = None
    low: float | None = None
    high: float | None = None
    choices: Sequence[Json] | None = None
    unit: str | None = None
    help: str | None = None

    def schema(self) -> dict[str, Json]:
        row = {"name": self.name, "type": self.type, "default": self.default, "min": self.low, "max": self.high,
               "choices": None if self.choices is None else list(self.choices), "unit": self.unit, "help": self.help}
        return {key: value for key, value in row.items() if value is not None or key == "default"}

    def check(self, value: Json) -> None:
        if not fits(value, self.type):
            raise Refused("BadValue", f"load: '{self.name}' must be {a(self.type)}, not {a(type_of(value))}")
        if self.choices is not None and value not in self.choices:
            listed = ", ".join(map(str, self.choices))
            raise Refused("BadValue", f"load: '{self.name}' must be one of {listed}, not {value!r}")
        for number in value if isinstance(value, list) and self.type == "numbers" else [value]:
            if type_of(number) in ("integer", "number"):
                self._check_range(number)

    def _check_range(self, number: float) -> None:
        if (self.low is not None and number < self.low) or (self.high is not None and number > self.high):
            raise Refused("BadValue", f"load: '{self.name}' must lie between {self.low} and {self.high}, not {number}")


def flatten(section: Mapping[str, Json], known: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Json]]:
    """(dotted name, value) of nested options; a mapping that is an option's own value stays whole."""
    for key, value in section.items():
        name = prefix + key
        if isinstance(value, dict) and name not in known and any(row.startswith(name + ".") for row in known):
            yield from flatten(value, known, name + ".")
        else:
            yield name, value


def resolve(rows: Sequence[Option], section: Mapping[str, Json]) -> tuple[dict[str, Json], frozenset[str]]:
    """Every option with its value, as asked for or by default, and the names of those asked for. Refuses names and values that
    no row allows."""
    known = {row.name: row for row in rows}
    given = {name: value for name, value in flatten(section, known)}
    refuse_unknown(given, known, "load: options")
    given = {name: value for name, value in given.items() if value is not None}
    for name, value in given.items():
        known[name].check(value)
    return {name: given.get(name, row.default) for name, row in known.items()}, frozenset(given)


TYPES = {"choice": "string", "span": "list", "integers": "list"}  # of engine.json; the others have the same word


def _of_row(row: Mapping[str, Json]) -> Option:
    low, high = (None, None) if row["type"] == "integers" else row.get("range", (None, None))  # of each, which a schema cannot say
    choices = [choice["name"] if isinstance(choice, dict) else choice for choice in row.get("choices", [])]
    return Option(row["name"], TYPES.get(row["type"], row["type"]), row.get("default"), low, high, choices or None,
                  row.get("unit"), row.get("help"))


def options_of(descriptor: str) -> list[Option]:
    """The options of an engine.json, for an engine that reports none of its own."""
    with open(descriptor, encoding="utf-8") as file:
        return [_of_row(row) for row in json.load(file)["options"]]
