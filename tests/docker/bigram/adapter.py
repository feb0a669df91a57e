#!/usr/bin/env python3
"""An engine of a user's own, in Python with nothing but its standard library and the package that comes with llem: several
files, a model that it reads, a cache, a process beside its own."""

import multiprocessing
import os
import sys
import time

from llem_adapter import Adapter, Loaded, Option, Refused, now_ns, resident_peak_bytes, serve

import pairs


class Bigrams(Adapter):
    name, version, engine = "bigram-adapter", "1", "bigram"
    options = [
        Option("text", "string", help="what the pairs are counted in"),
        Option("say", "string", help="a line for the log"),
        Option("fail", "string", help="how loading fails"),
        Option("sleep_s", "number", 0, low=0, high=3600, unit="s", help="silence before a batch"),
        Option("wall_us", "number", 0, low=0, high=1000000, unit="µs", help="time of a token"),
    ]

    def hello(self):
        return {"engine_version": sys.version.split()[0]}

    def load(self, load):
        self.given = load.options
        if self.given["say"]:
            print(self.given["say"], file=sys.stderr, flush=True)
        if (self.given["fail"] or "").startswith("crash:"):
            print(self.given["fail"][6:], file=sys.stderr, flush=True)
            os._exit(1)
        if self.given["fail"]:
            raise Refused("LoadFailed", self.given["fail"])
        if not self.given["text"]:
            raise Refused("BadValue", "text must name a file")
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            self.followers, warm = pool.apply(pairs.learn, (self.given["text"],))
        facts = {"cache": "warm" if warm else "cold", "python": sys.version.split()[0], "uid": os.getuid(), "cwd": os.getcwd(),
                 "text": self.given["text"], "smoothing": os.environ.get("BIGRAM_SMOOTHING"), "environment": dict(os.environ)}
        return Loaded(self.given, engine_version=facts["python"], device="cpu", weights_bytes=256, facts=facts)

    def tokenize(self, text, add_special, parse_special):
        return list(text.encode())

    def generate(self, batch):
        time.sleep(self.given["sleep_s"])
        batch.t0_ns = now_ns()
        for request in batch.requests:
            token = request.token_ids[-1]
            while len(request.out_ids) < request.max_tokens:
                batch.check_stop()
                time.sleep(self.given["wall_us"] / 1e6)
                token = self.followers[token]
                request.token(token, now_ns())
        batch.t1_ns = now_ns()

    def memory(self):
        return {"rss_peak_bytes": resident_peak_bytes(), "device_bytes": "no device is used"}


if __name__ == "__main__":
    serve(Bigrams())
