# SPDX-License-Identifier: MIT
"""What an engine fills in."""

from __future__ import annotations

from dataclasses import dataclass, field
from collections.abc import Callable, Mapping, Sequence

from .options import Option
from .words import Json, Refused
from .work import Batch


@dataclass
class Load:
    """What `load` asks for."""

    model: str | None
    model_path: str | None
    precision: str | None
    max_input_tokens: int  # 0 where not given
    max_output_tokens: int
    random_seed: int | None
    decoder: Mapping[str, Json]
    options: Mapping[str, Json]  # every option by its dotted name, checked, defaults filled in
    allow_substitution: bool
    # Names of the options that the message has: written by the user, or a default of engine.json. A default of the engine's
    # own, which fills the gaps of `options`, is not among them.
    written: frozenset[str] = frozenset()
    substitutions: list[dict[str, Json]] = field(default_factory=list)
    check_stop: Callable[[], None] = lambda: None  # raises when loading is to end; for one that takes long

    def substitute(self, what: str, requested: str, used: str, reason: str) -> None:
        """Something else than what was asked for is used: told, or refused where that is not allowed."""
        if not self.allow_substitution:
            raise Refused("Substitution", f"{what}: '{requested}' was asked for, '{used}' would be used: {reason}")
        self.substitutions.append({"what": what, "requested": requested, "used": used, "reason": reason})


@dataclass
class Loaded:
    """What `load` answers besides times."""

    resolved: Mapping[str, Json]
    engine_version: str
    device: str  # "cpu" or "gpu"
    devices: Sequence[str] = ()  # where it is divided over kinds of them
    pids: Sequence[int] = ()  # none: this process
    prefix_cache: bool = False
    batch: int | None = None
    in_flight: int | None = None
    weights_bytes: int | None = None
    quiescent: bool = True
    compile_ns: tuple[int, int] | None = None  # from when until when it compiled, within load
    facts: Mapping[str, Json] = field(default_factory=dict)


class Adapter:
    """Override what the engine can do. Refused is an answer; any other exception is the engine's own error."""

    name = "adapter"
    version = "0"
    engine = "engine"
    options: Sequence[Option] = ()
    joins = False  # requests can join those under way: then generate heeds batch.in_flight

    def hello(self) -> Mapping[str, Json]:
        """More members of the reply: engine_version, libraries. Before anything slow is imported."""
        return {}

    def schema(self) -> Sequence[Option]:
        """The options of the installed engine; imports what it needs, so that an engine that is not there says so."""
        return self.options

    def load(self, load: Load) -> Loaded:
        raise NotImplementedError

    def tokenize(self, text: str, add_special: bool, parse_special: bool) -> list[int]:
        raise Refused("NotSupported", "tokenize: the engine has no tokenizer")

    def reset(self, prefix_cache: bool, peak_memory: bool) -> tuple[bool, bool]:
        """What was done of what was asked."""
        return False, False

    def prepare(self, batch: Batch) -> bool:
        """Puts a batch in place; true: nothing will run until generate."""
        return True

    def generate(self, batch: Batch) -> None:
        """Runs a batch: t0_ns and t1_ns of it, ids and stamps of its requests."""
        raise NotImplementedError

    def memory(self) -> Mapping[str, Json]:
        """Figures: bytes, or the reason why one is absent."""
        raise NotImplementedError

    def give_up(self, error: Refused) -> None:
        """Answers the request under way with an error and ends the process: for a thread that sees that the engine will not
        come back. Between requests it does nothing. The server puts it here."""

    def close(self) -> None:
        """Lets go of everything the engine started. Called once."""
