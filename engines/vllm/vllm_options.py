# SPDX-License-Identifier: MIT
"""The options of the installed vLLM: the fields of AsyncEngineArgs and the parameters of SamplingParams, as rows."""

from __future__ import annotations

import copy
import dataclasses
import enum
import importlib
import inspect
import json
import math
import sys
import typing
from typing import Any
from collections.abc import Iterator, Mapping, Sequence

from llem_adapter import Option, Refused, options_of

Json = Any
NOTHING = type(None)
PLAIN = {bool: "boolean", int: "integer", float: "number", str: "string", list: "list", set: "list", tuple: "list", dict: "mapping"}
# What llem says for each request; engine.json has the names to write instead.
SAMPLING_OWNED = {"temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed", "max_tokens", "min_tokens", "ignore_eos",
                  "output_kind", "skip_clone", "output_text_buffer_length"}
# Mappings that vLLM types as any, and the class it makes of them.
CLASSES = {"speculative_config": ("vllm.config", "SpeculativeConfig")}


def members(annotation: Any) -> list[Any]:
    """The types of a union, else the one type; None is what an option is that is not there."""
    parts = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    flat = [p for part in parts for p in (members(part) if _is_union(part) else [part])]
    return [p for p in flat if p is not NOTHING]


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) is typing.Union or type(annotation).__name__ == "UnionType"


def word_of(part: Any) -> tuple[str, list[Json] | None]:
    """(type, choices) of one type."""
    origin = typing.get_origin(part)
    if origin is typing.Annotated:
        return word_of(typing.get_args(part)[0])
    if origin is typing.Literal:
        choices = list(typing.get_args(part))
        return PLAIN.get(type(choices[0]), "any"), choices
    part = origin or part
    if isinstance(part, type) and issubclass(part, enum.IntEnum):
        return "integer", None
    if isinstance(part, type) and issubclass(part, enum.Enum):
        return "string", None
    if dataclasses.is_dataclass(part):
        return "mapping", None
    return PLAIN.get(part, "any"), None


def shape(annotation: Any) -> tuple[str, list[Json] | None]:
    """(type, choices) of an annotation; what may be of several types is any."""
    words = [word_of(part) for part in members(annotation)]
    return words[0] if len(words) == 1 else ("any", None)


def plain(value: Any) -> Json:
    """A value as JSON has it; null for what it cannot hold."""
    if isinstance(value, enum.IntEnum):
        return int(value)
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, (bool, int, float, str)) or value is None:
        return value
    if isinstance(value, (list, tuple, set, frozenset)):
        return sorted(value, key=str) if isinstance(value, (set, frozenset)) else list(value)
    if isinstance(value, dict):
        return json.loads(json.dumps(value, default=lambda part: part.name if isinstance(part, enum.Enum) else str(part)))
    return None


@dataclasses.dataclass
class Parameter:
    """One parameter of the engine."""

    name: str  # dotted
    annotation: Any
    default: Json  # the engine's own

    def option(self, row: Option | None, renamed: set[tuple[str, str]]) -> Option:
        """As schema has it: engine.json says what is sensible, the installed engine what there is. A word that llem takes
        for another one is not needed."""
        kind, choices = shape(self.annotation)
        choices = choices and [choice for choice in choices if (self.name, choice) not in renamed]
        default = row.default if row and row.default is not None else self.default
        if row is None:
            return Option(self.name, kind, default, choices=choices)
        low, high = -math.inf if row.low is None else row.low, math.inf if row.high is None else row.high
        if type(default) in (int, float) and not low <= default <= high:
            row = dataclasses.replace(row, low=None, high=None)  # what the engine takes by itself it takes
        agrees = kind in ("any", row.type) or (kind, row.type) in (("integer", "number"), ("number", "integer"))
        return dataclasses.replace(row, type=row.type if agrees else kind, default=default,
                                   choices=choices or row.choices if row.choices else None)

    def value(self, given: Json) -> Any:
        """A value as the engine's class wants it."""
        for part in members(self.annotation):
            bare = typing.get_origin(part) or part
            if bare in (set, tuple) and isinstance(given, list):
                return bare(given)
            if isinstance(bare, type) and issubclass(bare, enum.Enum) and isinstance(given, (str, int)):
                return self._member(bare, given)
        kind, choices = shape(self.annotation)
        if choices is not None and given not in choices:
            raise Refused("BadValue", f"load: '{self.name}' must be one of {', '.join(map(str, choices))}, not {given!r}")
        return given

    def _member(self, kind: type[enum.Enum], given: Json) -> Any:
        for member in kind:
            if given == member.value or (isinstance(given, str) and given.upper() == member.name):
                return member
        names = ", ".join(member.name for member in kind)
        raise Refused("BadValue", f"load: '{self.name}' must be one of {names}, not {given!r}")


def _evaluated(annotation: Any, module: str) -> Any:
    """Annotations may be texts, and name what is only there for type checkers."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, vars(sys.modules[module]))  # noqa: S307 (the engine's own source)
    except Exception:
        return Any


def engine_parameters(kind: Any, owned: set[str]) -> Iterator[Parameter]:
    """Of AsyncEngineArgs, a dataclass."""
    for field in dataclasses.fields(kind):
        if field.name in owned or field.name.startswith("_"):
            continue
        default = field.default
        if default is dataclasses.MISSING:
            default = None if field.default_factory is dataclasses.MISSING else field.default_factory()
        yield from _parts(f"engine.{field.name}", _evaluated(field.type, kind.__module__), default)


def class_of(name: str, annotation: Any) -> Any:
    """The class of the engine that a mapping becomes, or None."""
    module, kind = CLASSES.get(name.partition(".")[2], (None, None))
    if module is not None and kind is not None:
        found = getattr(importlib.import_module(module), kind, None)
        return found if dataclasses.is_dataclass(found) else None
    parts = members(annotation)
    return parts[0] if len(parts) == 1 and dataclasses.is_dataclass(parts[0]) else None


def is_inner(annotation: Any) -> bool:
    """Whether an argument is for vLLM's own code, which hands on an object there that nobody looks at."""
    return any(type(part).__name__ == "SkipValidation" for part in getattr(annotation, "__metadata__", ()))


def _parts(name: str, annotation: Any, default: Any) -> Iterator[Parameter]:
    """A parameter, or where it is a class of the engine, each argument of that. Where nothing is made of it by itself, an
    argument written as it would be is not what the engine takes anyway: it has no default then."""
    kind = class_of(name, annotation)
    if kind is None:
        yield Parameter(name, annotation, plain(default))
        return
    for field in dataclasses.fields(kind):
        inner = _evaluated(field.type, kind.__module__)
        if field.init and not field.name.startswith("_") and not is_inner(inner):
            own = getattr(default, field.name, None) if dataclasses.is_dataclass(default) else None
            yield from _parts(f"{name}.{field.name}", inner, own)


def sampling_parameters(kind: Any) -> Iterator[Parameter]:
    """Of SamplingParams."""
    for name, parameter in inspect.signature(kind).parameters.items():
        if name in SAMPLING_OWNED or name.startswith("_"):
            continue
        default = None if parameter.default is inspect.Parameter.empty else plain(parameter.default)
        yield Parameter(f"sampling.{name}", _evaluated(parameter.annotation, kind.__module__), default)


class Parameters:
    """What the installed engine takes, by dotted name, with what engine.json says of it."""

    def __init__(self, descriptor: str, engine_args: Any, sampling: Any) -> None:
        with open(descriptor, encoding="utf-8") as file:
            tree = json.load(file)
        owned = {row["name"] for row in tree["owned"]}
        renamed = {(row["option"], row["value"]) for row in tree["retired"] if "option" in row and "alias" in row}
        rows = {row.name: row for row in options_of(descriptor)}
        owned -= {name.partition(".")[2] for name in rows}
        found = [*engine_parameters(engine_args, owned), *sampling_parameters(sampling)]
        self.rows = rows
        self.of = {parameter.name: parameter for parameter in found}
        self.own = [row for row in rows.values() if "." not in row.name]  # the adapter's
        self.options = [*self.own, *(p.option(rows.get(p.name), renamed) for p in found)]

    def given(self, section: str, options: Mapping[str, Json]) -> dict[str, Any]:
        """The arguments of a section that are not what the engine takes anyway, and those whose default is ours."""
        values = {}
        for name, parameter in self.of.items():
            part, _, short = name.partition(".")
            ours = name in self.rows and self.rows[name].default is not None
            if part == section and options[name] is not None and (ours or options[name] != parameter.default):
                *outer, last = short.split(".")
                values_at(values, outer)[last] = parameter.value(copy.deepcopy(options[name]))  # vLLM writes into what it is given
        return values


def values_at(values: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The mapping in mappings that these names lead to, made where it is not there."""
    for name in names:
        values = values.setdefault(name, {})
    return values


def make_classes(args: Any) -> None:
    """What an engine's argument is typed as, of the mappings that it did not make it of by itself."""
    for field in dataclasses.fields(args):
        parts = members(_evaluated(field.type, type(args).__module__))
        kind = parts[0] if len(parts) == 1 and dataclasses.is_dataclass(parts[0]) else None
        if kind is not None and isinstance(getattr(args, field.name), dict):
            setattr(args, field.name, kind(**getattr(args, field.name)))
