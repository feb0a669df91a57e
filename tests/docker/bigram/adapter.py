#!/usr/bin/env python3
"""An engine of a user's own, in Python with nothing but its standard library: several files, a model that it reads, a
cache, a process beside its own. The protocol is that of the adapter which docs/engine-protocol.md prints."""

import multiprocessing
import os
import socket
import sys
import time

import pairs
import toy_adapter
from toy_adapter import Refused, now

toy_adapter.SCHEMA = [
    {"name": "text", "type": "string", "default": None, "help": "what the pairs are counted in"},
    {"name": "say", "type": "string", "default": None, "help": "a line for the log"},
    {"name": "fail", "type": "string", "default": None, "help": "how loading fails"},
    {"name": "sleep_s", "type": "number", "default": 0, "min": 0, "max": 3600, "unit": "s", "help": "silence before a batch"},
    {"name": "wall_us", "type": "number", "default": 0, "min": 0, "max": 1000000, "unit": "µs", "help": "time of a token"},
]


class Bigrams(toy_adapter.Adapter):
    def on_hello(self, protocol):
        return {**super().on_hello(protocol), "adapter": "bigram-adapter", "engine": "bigram", "engine_version": sys.version.split()[0]}

    def on_load(self, config, allow_substitution=False):
        t0, options = now(), {f["name"]: f["default"] for f in toy_adapter.SCHEMA}
        self.refuse([*(set(config) - toy_adapter.CONFIG), *(set(config.get("options") or {}) - set(options))])
        options.update({name: value for name, value in (config.get("options") or {}).items() if value is not None})
        if options["say"]:
            print(options["say"], file=sys.stderr, flush=True)
        if (options["fail"] or "").startswith("crash:"):
            print(options["fail"][6:], file=sys.stderr, flush=True)
            os._exit(1)
        if options["fail"]:
            raise Refused("LoadFailed", options["fail"])
        if not options["text"]:
            raise Refused("BadValue", "text must name a file")
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            self.followers, warm = pool.apply(pairs.learn, (options["text"],))
        self.options, self.batches, self.done = options, {}, {}
        facts = {"cache": "warm" if warm else "cold", "python": sys.version.split()[0], "uid": os.getuid(), "cwd": os.getcwd(),
                 "text": options["text"], "smoothing": os.environ.get("BIGRAM_SMOOTHING"), "environment": dict(os.environ)}
        return {"resolved": options, "engine_version": facts["python"], "pids": [os.getpid()], "device": "cpu",
                "weights_bytes": 256, "substitutions": [], "memory": self.on_memory()["figures"], "t0_ns": t0, "t1_ns": now(),
                "quiescent": True, "facts": facts}

    def on_generate(self, batches, in_flight=None):
        time.sleep(self.options["sleep_s"])
        return super().on_generate(batches, in_flight)

    def next_token(self, last):
        time.sleep(self.options["wall_us"] / 1e6)
        return self.followers[last]

    def first_token(self, prompt):
        return self.next_token(prompt[-1])


if __name__ == "__main__":
    fd = int(os.environ.pop("LLEM_ENGINE_FD"))
    os.set_inheritable(fd, False)
    Bigrams(socket.socket(fileno=fd)).serve()
