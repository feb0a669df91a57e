#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The engine protocol by hand: what an adapter in another language has to do, in Python without llem's package for it.

A toy engine whose tokens are bytes and whose next token follows from the last one. The four places marked ENGINE are the
engine's; all else is the protocol of docs/engine-protocol.md."""

import json
import os
import select
import socket
import time

now = time.monotonic_ns
SCHEMA = [{"name": "token_us", "type": "integer", "default": 1000, "min": 0, "max": 1000000, "unit": "µs",
           "help": "time of one token"}]
REQUEST = {"id", "token_ids", "max_tokens", "ignore_eos"}
CONFIG = {"model", "model_path", "precision", "max_input_tokens", "max_output_tokens", "random_seed", "decoder", "options"}

class Refused(Exception):
    """An error to answer with: Refused(class, message)."""

class Adapter:
    def __init__(self, sock):
        self.sock, self.buffer, self.stopper, self.options, self.batches, self.done = sock, b"", None, None, {}, {}

    def send(self, **message):
        self.sock.sendall(json.dumps(message).encode() + b"\n")

    def read(self, timeout):
        """The next message; None when there is none within the timeout, or when it was a bad line."""
        while b"\n" not in self.buffer:
            if not select.select([self.sock], [], [], timeout)[0]:
                return None
            data = self.sock.recv(65536)
            if not data:
                raise SystemExit(0)  # the worker is gone
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        try:
            message = json.loads(line)
            if isinstance(message, dict) and type(message.get("id")) is int and isinstance(message.get("type"), str):
                return message
        except ValueError:
            pass
        self.send(id=None, type="error", **{"class": "BadLine", "message": "a line must be an object with id and type"})

    def serve(self):
        while True:
            message, self.stopper = self.stopper or self.read(None), None
            if message is None:
                continue
            number, name = message.pop("id"), message.pop("type")
            try:
                handler = getattr(self, "on_" + name, None)
                if handler is None:
                    raise Refused("UnknownMessage", f"there is no message {name!r}")
                if self.options is None and name not in ("hello", "schema", "load", "abort", "shutdown"):
                    raise Refused("BadOrder", f"{name!r} came before load")
                known = handler.__code__.co_varnames[1:handler.__code__.co_argcount]
                self.refuse(set(message) - set(known))
                self.send(id=number, type=name, **handler(**message))  # a missing member: TypeError
            except (Refused, TypeError) as e:
                kind, text = e.args if isinstance(e, Refused) else ("BadValue", str(e))
                self.send(id=number, type="error", **{"class": kind, "message": text})
            if name == "shutdown":
                return

    def refuse(self, unknown):
        if unknown:
            raise Refused("UnknownKey", "there is no " + ", ".join(unknown))

    def on_hello(self, protocol):
        if protocol != 1:
            raise Refused("NotSupported", f"protocol {protocol} was asked for, this adapter speaks 1")
        return {"protocol": 1, "adapter": "toy-adapter", "adapter_version": "1", "engine": "toy", "engine_version": "1",
                "pid": os.getpid(), "clock_ns": now()}

    def on_schema(self):
        return {"fields": SCHEMA}

    def on_load(self, config, allow_substitution=False):
        t0, options = now(), {f["name"]: f["default"] for f in SCHEMA}
        self.refuse([*(set(config) - CONFIG), *(set(config.get("options") or {}) - set(options))])
        options.update({name: value for name, value in (config.get("options") or {}).items() if value is not None})
        for f in SCHEMA:
            if type(options[f["name"]]) is not int or not f["min"] <= options[f["name"]] <= f["max"]:
                raise Refused("BadValue", f"{f['name']} must be an integer from {f['min']} to {f['max']}")
        if config.get("model_path") and not os.path.exists(config["model_path"]):
            raise Refused("LoadFailed", "no model at " + config["model_path"])
        self.options, self.batches, self.done = options, {}, {}  # ENGINE: load the model
        return {"resolved": options, "engine_version": "1", "pids": [os.getpid()], "device": "cpu", "weights_bytes": 0,
                "substitutions": [], "memory": self.on_memory()["figures"], "t0_ns": t0, "t1_ns": now(), "quiescent": True}

    def on_tokenize(self, texts, add_special=True, parse_special=False):  # ENGINE: its tokenizer
        return {"token_ids": [list(text.encode()) for text in texts]}

    def on_reset(self, prefix_cache=False, peak_memory=False):
        return {"prefix_cache": prefix_cache, "peak_memory": False}

    def on_prepare(self, batch, requests):
        for r in requests:
            self.refuse(set(r) - REQUEST)
        self.batches[batch] = requests
        return {"batch": batch, "n_in": sum(len(r["token_ids"]) for r in requests), "quiescent": True}

    def on_generate(self, batches, in_flight=None):  # one request after the other: never more than in_flight
        if any(batch not in self.batches for batch in batches):
            raise Refused("BadValue", f"not all of the batches {batches} are prepared")
        done = [self.run(batch, self.batches.pop(batch)) for batch in batches]
        self.done.update((d["window"]["batch"], d) for d in done)
        rows = [row for d in done for row in d["requests"]]
        return {"t0_ns": done[0]["window"]["t0_ns"], "t1_ns": done[-1]["window"]["t1_ns"], "n_requests": len(rows),
                "n_in": sum(row["n_in"] for row in rows), "n_out": sum(len(row["token_ids"]) for row in rows)}

    def run(self, batch, requests):
        t0, rows = now(), []
        for r in requests:
            ids, stamps = [], []
            while len(ids) < r["max_tokens"]:
                self.stopper = self.stopper or self.read(0)
                if self.stopper:
                    raise Refused("Aborted", "stopped on request")
                ids.append(self.next_token(ids[-1]) if ids else self.first_token(r["token_ids"]))
                stamps.append(now())
            rows.append({"id": r["id"], "batch": batch, "n_in": len(r["token_ids"]), "n_cached": 0, "token_ids": ids,
                         "stamps_ns": stamps, "finish": "length"})
        return {"window": {"batch": batch, "t0_ns": t0, "t1_ns": now()}, "requests": rows}

    def next_token(self, last):  # ENGINE: the next token
        time.sleep(self.options["token_us"] / 1e6)
        return (last * 31 + 7) % 256

    def first_token(self, prompt):
        return self.next_token(sum(prompt))

    def on_collect(self, batches, first=0, count=100000):
        if any(batch not in self.done for batch in batches):
            raise Refused("BadValue", f"not all of the batches {batches} are generated and waiting")
        rows = [row for batch in batches for row in self.done[batch]["requests"]]
        windows = [self.done[batch]["window"] for batch in batches]
        if not 0 <= first < len(rows):
            raise Refused("BadValue", f"there is no request {first} of {len(rows)}")
        if first + count >= len(rows):
            self.done = {batch: d for batch, d in self.done.items() if batch not in batches}
        return {"batches": windows, "requests": rows[first:first + count], "merged_chunks": 0}

    def on_memory(self):
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:  # ru_maxrss has the parent's peak, too
            peak = next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
        return {"figures": {"rss_peak_bytes": peak, "device_bytes": "the toy engine uses no device"}}

    def on_abort(self):
        self.batches, self.done = {}, {}
        return {}

    def on_shutdown(self):
        return {}

if __name__ == "__main__":
    fd = int(os.environ.pop("LLEM_ENGINE_FD"))
    os.set_inheritable(fd, False)  # ENGINE: start its processes after this
    Adapter(socket.socket(fileno=fd)).serve()
