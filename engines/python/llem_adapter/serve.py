# SPDX-License-Identifier: MIT
"""The protocol loop: one request at a time, each answered; abort and shutdown are heard while a batch runs."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import threading
import traceback
from collections.abc import Callable, Mapping

from .adapter import Adapter, Load
from .options import resolve
from .process import take_socket, turn_stdout_away
from .words import PROTOCOL, Json, Refused, check_members, unsayable
from .work import Shelf, Stopped, now_ns

MAX_LINE = 64 << 20
CHUNK = 1 << 16
CONFIG = {"model": ("string", False), "model_path": ("string", False), "precision": ("string", False),
          "max_input_tokens": ("integer", False), "max_output_tokens": ("integer", False),
          "random_seed": ("integer", False), "decoder": ("mapping", False), "options": ("mapping", False)}
MESSAGES: Mapping[str, Mapping[str, tuple[str, bool]]] = {
    "hello": {"protocol": ("integer", True)},
    "schema": {},
    "load": {"config": ("mapping", True), "allow_substitution": ("boolean", False)},
    "tokenize": {"texts": ("list", True), "add_special": ("boolean", False), "parse_special": ("boolean", False)},
    "reset": {"prefix_cache": ("boolean", False), "peak_memory": ("boolean", False)},
    "prepare": {"batch": ("integer", True), "requests": ("list", True)},
    "generate": {"batches": ("list", True), "in_flight": ("integer", False)},
    "collect": {"batches": ("list", True), "first": ("integer", False), "count": ("integer", False)},
    "memory": {},
    "abort": {},
    "shutdown": {},
}
BEFORE_HELLO = ("hello", "shutdown")
BEFORE_LOAD = ("hello", "schema", "load", "abort", "shutdown")


class Ended(BaseException):
    """The worker is gone, or SIGTERM came. No engine takes it for an error of its own."""


def on_term(number: int, frame: object) -> None:
    raise Ended


class Server:
    def __init__(self, adapter: Adapter, sock: socket.socket) -> None:
        self.adapter, self.sock = adapter, sock
        self.buffer = bytearray()
        self.shelf = Shelf()
        self.greeted = self.loaded = False
        self.stopper: dict[str, Json] | None = None  # an abort or a shutdown that came in the middle
        self.answering = threading.Lock()
        self.under_way: int | None = None  # the request that waits for its answer
        adapter.give_up = self.give_up  # type: ignore[method-assign]

    # --- lines

    def claim(self) -> bool:
        """True for the one thread that answers the request under way."""
        with self.answering:
            waits, self.under_way = self.under_way is not None, None
        return waits

    def fail(self, number: int | None, error: Refused) -> None:
        message = {"id": number, "type": "error", "class": error.kind, "message": error.message}
        if error.oom:
            message["oom"] = True
        if error.unknown:
            message["unknown_keys"] = error.unknown
        self.sock.sendall(line_of(message, "replace"))

    def give_up(self, error: Refused) -> None:
        number = self.under_way
        if number is not None and self.claim():  # else the engine came back meanwhile
            self.fail(number, error)
            os._exit(1)

    def read(self, wait: bool) -> dict[str, Json] | None:
        """The next message; None when there is none yet, or after a bad line was answered."""
        while b"\n" not in self.buffer:
            if not wait and not select.select([self.sock], [], [], 0)[0]:
                return None
            data = self.sock.recv(CHUNK)
            if not data:
                raise Ended
            self.buffer += data
            if len(self.buffer) > MAX_LINE and b"\n" not in self.buffer:
                self.fail(None, Refused("BadLine", f"a line is longer than {MAX_LINE} bytes"))
                raise Ended
        end = self.buffer.index(b"\n")
        line = bytes(self.buffer[:end])
        del self.buffer[: end + 1]
        try:
            message = json.loads(line)
        except ValueError as error:
            self.fail(None, Refused("BadLine", f"the line is no JSON: {error}"))
            return None
        if isinstance(message, dict) and type(message.get("id")) is int and isinstance(message.get("type"), str):
            return message
        self.fail(None, Refused("BadLine", "a message needs an integer 'id' and a string 'type'"))
        return None

    def check_stop(self) -> None:
        """Raises Stopped when an abort or a shutdown has come; other messages are refused meanwhile."""
        while not self.stopper:
            message = self.read(wait=False)
            if message is None:
                return
            if message["type"] in ("abort", "shutdown"):
                self.stopper = message
            else:
                self.fail(message["id"], Refused("BadOrder", f"'{message['type']}' came while another request is under way"))
        raise Stopped

    # --- the loop

    def run(self) -> None:
        while True:
            message, self.stopper = self.stopper or self.read(wait=True), None
            if message is None:
                continue
            self.answer(message)
            if message["type"] == "shutdown":
                return

    def answer(self, message: dict[str, Json]) -> None:
        number, name = message.pop("id"), message.pop("type")
        self.under_way = number
        try:
            line = self.reply(number, name, message)
        except Refused as error:
            self.refuse(number, error)
        except Stopped:
            self.refuse(number, Refused("Aborted", "stopped on request"))
        except MemoryError as error:
            self.refuse(number, Refused("OutOfMemory", str(error) or "memory ran out", oom=True))
        except Exception as error:  # the engine's own
            traceback.print_exc()
            self.refuse(number, Refused(type(error).__name__, str(error) or repr(error), oom=is_oom(error)))
        else:
            if self.claim():
                self.sock.sendall(line)
        message["type"] = name

    def refuse(self, number: int, error: Refused) -> None:
        if self.claim():
            self.fail(number, error)

    def reply(self, number: int, name: str, members: dict[str, Json]) -> bytes:
        reply = self.serve(name, members)
        try:
            return line_of({"id": number, "type": name, **reply})
        except (TypeError, ValueError) as error:  # an engine gave what no line can hold
            raise Refused("BadReply", f"{name}: the adapter's reply cannot be sent: {unsayable(reply, '') or error}") from error

    def serve(self, name: str, members: dict[str, Json]) -> dict[str, Json]:
        if name not in MESSAGES:
            raise Refused("UnknownMessage", f"there is no message '{name}'")
        if not self.greeted and name not in BEFORE_HELLO:
            raise Refused("BadOrder", f"'{name}' came before 'hello'")
        if not self.loaded and name not in BEFORE_LOAD:
            raise Refused("BadOrder", f"'{name}' came before a load that worked")
        handler: Callable[..., dict[str, Json]] = getattr(self, f"on_{name}")
        return handler(**check_members(members, MESSAGES[name], name))

    # --- the messages

    def on_hello(self, protocol: int) -> dict[str, Json]:
        if protocol != PROTOCOL:
            raise Refused("NotSupported", f"protocol {protocol} was asked for, this adapter speaks {PROTOCOL}")
        self.greeted = True
        adapter = self.adapter
        return {"protocol": PROTOCOL, "adapter": adapter.name, "adapter_version": adapter.version, "engine": adapter.engine,
                "pid": os.getpid(), **adapter.hello(), "clock_ns": now_ns()}

    def on_schema(self) -> dict[str, Json]:
        return {"fields": [row.schema() for row in self.adapter.schema()]}

    def on_load(self, config: dict[str, Json], allow_substitution: bool = False) -> dict[str, Json]:
        members = check_members(config, CONFIG, "load: config")
        t0_ns = now_ns()  # whatever is imported is part of it
        options, written = resolve(self.adapter.schema(), members.get("options", {}))
        for name in ("max_input_tokens", "max_output_tokens"):
            if not 0 <= members.get(name, 0) <= 1 << 20:
                raise Refused("BadValue", f"load: '{name}' must lie between 1 and {1 << 20}")
        path = members.get("model_path")
        if path and not os.path.exists(path):
            raise Refused("LoadFailed", f"there is no model at {path}")
        load = Load(members.get("model"), path, members.get("precision"), members.get("max_input_tokens", 0),
                    members.get("max_output_tokens", 0), members.get("random_seed"), members.get("decoder", {}), options,
                    allow_substitution, written, check_stop=self.check_stop)
        self.shelf.clear()
        self.loaded = False
        loaded = self.adapter.load(load)
        t1_ns = now_ns()
        self.loaded = True
        return {"resolved": dict(loaded.resolved), "engine_version": loaded.engine_version, "device": loaded.device,
                "devices": list(loaded.devices) or None, "pids": list(loaded.pids) or [os.getpid()],
                "prefix_cache": loaded.prefix_cache, "batch": loaded.batch, "in_flight": loaded.in_flight,
                "weights_bytes": loaded.weights_bytes, "facts": dict(loaded.facts), "substitutions": load.substitutions,
                "memory": dict(self.adapter.memory()), "t0_ns": t0_ns, "t1_ns": t1_ns, "quiescent": loaded.quiescent,
                "compile": loaded.compile_ns and {"t0_ns": loaded.compile_ns[0], "t1_ns": loaded.compile_ns[1]}}

    def on_tokenize(self, texts: list[Json], add_special: bool = True, parse_special: bool = False) -> dict[str, Json]:
        if not all(isinstance(text, str) for text in texts):
            raise Refused("BadValue", "tokenize: 'texts' must be strings")
        return {"token_ids": [self.adapter.tokenize(text, add_special, parse_special) for text in texts]}

    def on_reset(self, prefix_cache: bool = False, peak_memory: bool = False) -> dict[str, Json]:
        cache, peak = self.adapter.reset(prefix_cache, peak_memory)
        return {"prefix_cache": cache, "peak_memory": peak}

    def on_prepare(self, batch: int, requests: list[Json]) -> dict[str, Json]:
        fresh = self.shelf.prepare(batch, requests)
        fresh.check_stop = self.check_stop
        quiescent = self.adapter.prepare(fresh)
        self.shelf.prepared[batch] = fresh
        return {"batch": batch, "n_in": sum(len(r.token_ids) for r in fresh.requests), "quiescent": quiescent}

    def on_generate(self, batches: list[Json], in_flight: int | None = None) -> dict[str, Json]:
        if in_flight is not None and in_flight < 1:
            raise Refused("BadValue", "generate: 'in_flight' must be at least 1")
        if in_flight is not None and not self.adapter.joins:
            raise Refused("NotSupported", "generate: 'in_flight': the requests of a batch begin together")
        chosen = self.shelf.take(batches)
        for batch in chosen:
            batch.in_flight = in_flight
            self.adapter.generate(batch)
        self.shelf.done.update((batch.number, batch) for batch in chosen)
        requests = [r for batch in chosen for r in batch.requests]
        return {"t0_ns": chosen[0].t0_ns, "t1_ns": chosen[-1].t1_ns, "n_requests": len(requests),
                "n_in": sum(len(r.token_ids) for r in requests), "n_out": sum(len(r.out_ids) for r in requests)}

    def on_collect(self, batches: list[Json], first: int = 0, count: int | None = None) -> dict[str, Json]:
        return self.shelf.collect(batches, first, count)

    def on_memory(self) -> dict[str, Json]:
        return {"figures": dict(self.adapter.memory())}

    def on_abort(self) -> dict[str, Json]:
        self.shelf.clear()
        return {}

    def on_shutdown(self) -> dict[str, Json]:
        return {}


def line_of(message: Mapping[str, Json], errors: str = "strict") -> bytes:
    return json.dumps(message, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode("utf-8", errors) + b"\n"


def is_oom(error: BaseException) -> bool:
    """Engines have many names for it."""
    return "outofmemory" in type(error).__name__.lower() or "out of memory" in str(error).lower()


def serve(adapter: Adapter) -> None:
    """Serves until shutdown, the end of the socket or SIGTERM; the engine is let go of in each case."""
    sock = take_socket()
    turn_stdout_away()
    signal.signal(signal.SIGTERM, on_term)
    server = Server(adapter, sock)
    try:
        server.run()
    except (Ended, BrokenPipeError, ConnectionResetError):
        pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        adapter.close()
