# SPDX-License-Identifier: MIT
"""Batches: prepared, generated, kept until they are collected."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from collections.abc import Callable
from typing import Any

from .words import Json, Refused, check_members

MAX_TOKENS = 1 << 20
MAX_REQUESTS = 100_000
REQUEST = {"id": ("string", True), "token_ids": ("list", True), "max_tokens": ("integer", True),
           "ignore_eos": ("boolean", False)}

now_ns = time.monotonic_ns


class Stopped(Exception):
    """What is under way is to stop: an abort, a shutdown or the end of the socket came."""


@dataclass
class Request:
    id: str
    token_ids: list[int]
    max_tokens: int
    ignore_eos: bool
    n_cached: int = 0
    out_ids: list[int] = field(default_factory=list)
    stamps_ns: list[int] = field(default_factory=list)
    finish: str = "length"
    engine_stamps: dict[str, int] = field(default_factory=dict)

    def token(self, token: int, stamp_ns: int) -> None:
        """A token that is out; those of one chunk share its stamp."""
        self.out_ids.append(token)
        self.stamps_ns.append(stamp_ns)

    def merged_chunks(self) -> int:
        """Runs of equal stamps: chunks of several tokens."""
        stamps, merged, run = self.stamps_ns, 0, 1
        for i in range(1, len(stamps)):
            run = run + 1 if stamps[i] == stamps[i - 1] else 1
            merged += run == 2
        return merged

    def outcome(self, batch: int) -> dict[str, Json]:
        row: dict[str, Json] = {"id": self.id, "batch": batch, "n_in": len(self.token_ids), "n_cached": self.n_cached,
                                "token_ids": self.out_ids, "stamps_ns": self.stamps_ns, "finish": self.finish}
        if self.engine_stamps:
            row["engine_stamps"] = self.engine_stamps
        return row


@dataclass
class Batch:
    number: int
    requests: list[Request]
    check_stop: Callable[[], None] = lambda: None  # raises Stopped; call it between steps
    in_flight: int | None = None                   # how many at once; None: they begin together
    t0_ns: int = 0                                 # work released
    t1_ns: int = 0                                 # last token of the last request out
    n_padded: int | None = None                    # positions that were computed for no token, where that is known
    work: Any = None                               # what the engine made of it in prepare

    def window(self) -> dict[str, int]:
        row = {"batch": self.number, "t0_ns": self.t0_ns, "t1_ns": self.t1_ns}
        return row if self.n_padded is None else {**row, "n_padded": self.n_padded}


def read_request(row: Json) -> Request:
    if not isinstance(row, dict):
        raise Refused("BadValue", "prepare: a request must be a mapping")
    members = check_members(row, REQUEST, "prepare: a request")
    ids, most = members["token_ids"], members["max_tokens"]
    if not 1 <= len(ids) <= MAX_TOKENS or not 1 <= most <= MAX_TOKENS:
        raise Refused("BadValue", f"prepare: request '{members['id']}' needs 1 to {MAX_TOKENS} tokens in, and out")
    if not all(type(token) is int and 0 <= token < 1 << 31 for token in ids):
        raise Refused("BadValue", f"prepare: request '{members['id']}' holds what is no token id")
    return Request(members["id"], ids, most, bool(members.get("ignore_eos")))


class Shelf:
    """The batches of an adapter."""

    def __init__(self) -> None:
        self.prepared: dict[int, Batch] = {}
        self.done: dict[int, Batch] = {}

    def clear(self) -> None:
        self.prepared.clear()
        self.done.clear()

    def prepare(self, number: int, rows: list[Json]) -> Batch:
        if number in self.prepared:
            raise Refused("BadValue", f"prepare: batch {number} is prepared already")
        batch = Batch(number, [read_request(row) for row in rows])
        others = {r.id for b in self.prepared.values() for r in b.requests}
        ids = [r.id for r in batch.requests]
        if not ids or len(ids) + len(others) > MAX_REQUESTS:
            raise Refused("BadValue", f"prepare: at least one request, and at most {MAX_REQUESTS} in all batches")
        if len(set(ids)) < len(ids) or others & set(ids):
            raise Refused("BadValue", "prepare: two requests have one id")
        self.done.pop(number, None)  # nobody wants that outcome any more
        return batch

    def take(self, numbers: list[Json]) -> list[Batch]:
        """Out of the prepared ones; nothing is taken where one is not there."""
        return self._pick(self.prepared, numbers, "generate", "prepared")

    def collect(self, numbers: list[Json], first: int, count: int | None) -> dict[str, Json]:
        batches = self._pick(self.done, numbers, "collect", "generated, or was collected")
        rows = [(r, b.number) for b in batches for r in b.requests]
        end = len(rows) if count is None else first + count
        if not 0 <= first < len(rows) or end <= first:
            self.done.update((b.number, b) for b in batches)
            raise Refused("BadValue", f"collect: 'first' and 'count' must name some of {len(rows)} requests")
        if end < len(rows):  # the rest is asked for later
            self.done.update((b.number, b) for b in batches)
        part = rows[first:end]
        return {"batches": [b.window() for b in batches], "requests": [r.outcome(number) for r, number in part],
                "merged_chunks": sum(r.merged_chunks() for r, _ in part)}

    @staticmethod
    def _pick(shelf: dict[int, Batch], numbers: list[Json], message: str, state: str) -> list[Batch]:
        if not numbers:
            raise Refused("BadValue", f"{message}: no batch was named")
        for number in numbers:
            if type(number) is not int or number not in shelf:
                raise Refused("BadValue", f"{message}: batch {number} is not {state}")
        if len(set(numbers)) < len(numbers):
            raise Refused("BadValue", f"{message}: a batch is named twice in {numbers}")
        return [shelf.pop(number) for number in numbers]
