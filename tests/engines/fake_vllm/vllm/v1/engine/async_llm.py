"""The next token follows from the number of those before it."""

import asyncio
import os
import subprocess
import time
from types import SimpleNamespace

from ...noting import has, note


class AsyncLLM:
    @classmethod
    def from_vllm_config(cls, config, usage_context, enable_log_requests, disable_log_stats, stat_loggers):
        self = cls()
        self.config, self.seen, self.began_ns = config, set(), time.monotonic_ns()
        time.sleep(0.002)
        self.loggers = [factory(config, 0) for factory in stat_loggers]
        if has("orphans"):  # a process whose parent has ended
            subprocess.run(["sh", "-c", "sleep 3600 </dev/null >/dev/null 2>&1 &"], check=True)
        if has("hangs"):
            time.sleep(3600)
        if has("fails"):
            raise RuntimeError("Engine core initialization failed.")
        return self

    def get_tokenizer(self):
        return lambda text, add_special_tokens, split_special_tokens: {"input_ids": [ord(c) % 512 for c in text if c != " "]}

    async def collective_rpc(self, method):
        note("rpc", method)
        bind = os.environ.get("VLLM_CPU_OMP_THREADS_BIND", "auto")
        note("threads_bind", bind)
        threads = 2 if bind == "auto" or has("two_threads") else len(bind.split("|")[0].split(","))
        rank = {"pid": 0, "weights": 1000, "kv_cache": 500, "attention": "CPU_ATTN", "threads": threads, "parameters": 250}
        if has("compiles"):
            rank["compiled"] = [self.began_ns, self.began_ns + 1_000_000]
        told = [{**rank, "peak": peak, "reserved": peak + 7, "device": peak + 9} for peak in (3000, 5000)]
        ranks = told if has("gpu") else [rank]
        return [True] * len(ranks) if method == "llem_reset_peak" else ranks

    async def reset_prefix_cache(self):
        note("reset_prefix_cache", True)
        self.seen.clear()
        return True

    async def generate(self, prompt, params, request_id):
        assert params.output_kind.name == "DELTA" and params.n == 1
        ids = prompt["prompt_token_ids"]
        note("generate.ids", ids)
        if has("hangs_in_generate"):
            note("hangs", "generate")
            await asyncio.sleep(3600)
        if has("out-of-memory"):
            raise MemoryError("out of memory")
        stats = SimpleNamespace(queued_ts=time.monotonic(), num_generation_tokens=0)
        cached = 1 if tuple(ids) in self.seen and self.config.cache_config.enable_prefix_caching else 0
        self.seen.add(tuple(ids))
        stats.scheduled_ts = time.monotonic()
        end = params.max_tokens if params.ignore_eos else max(2, params.min_tokens)
        sizes = [1, 3] if has("merged") else [1]
        out = 0
        while out < end:
            await asyncio.sleep(0.002)
            now = time.monotonic()
            stats.first_token_ts = getattr(stats, "first_token_ts", now)
            stats.last_token_ts = now
            n = min(sizes[min(out, len(sizes) - 1)], end - out)
            out += n
            for logger in self.loggers:
                logger.record(scheduler_stats=SimpleNamespace(kv_cache_usage=0.5 if out == 2 else 0.25), iteration_stats=None)
            stats.num_generation_tokens = out + (1 if has("miscounts") else 0)
            done = out == end
            reason = ("length" if out == params.max_tokens else "stop") if done else None
            token = (len(ids) + out + (params.seed or 0)) % 512
            yield SimpleNamespace(outputs=[SimpleNamespace(token_ids=[token] * n, finish_reason=reason)], finished=done,
                                  num_cached_tokens=cached, metrics=None if has("no_stats") else stats)

    def shutdown(self):
        note("shutdown", True)
