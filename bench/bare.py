"""An engine without llem: the yardsticks of bench_adapter, each as its own users would write it.

bare.py NAME, with a line of JSON on stdin: {"model": folder, "max_model_len": n, "prompts": [[id, …], …], "max_tokens": n}.
It answers a line when it is ready; then each line asked is answered with {"seconds": s, "token_ids": [[id, …], …]}, or
without ids where the yardstick does not give them out. What engines print goes to stderr.
"""

import asyncio
import json
import os
import sys
import time


def transformers(task):
    """generate() over one batch, greedily, whatever ends an answer ignored."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)  # beside another process with a model of its own
    model = AutoModelForCausalLM.from_pretrained(task["model"], dtype=torch.float32, attn_implementation="sdpa").eval()
    model.generation_config.eos_token_id = None
    ids = torch.tensor(task["prompts"])
    mask = torch.ones_like(ids)

    def work():
        begin = time.perf_counter()
        with torch.inference_mode():
            out = model.generate(ids, attention_mask=mask, max_new_tokens=task["max_tokens"], do_sample=False, pad_token_id=0)
        return time.perf_counter() - begin, out[:, ids.shape[1] :].tolist()

    return work


def engine_args(task):
    from vllm.engine.arg_utils import AsyncEngineArgs

    return AsyncEngineArgs(model=task["model"], dtype="float32", enforce_eager=True, max_model_len=task["max_model_len"],
                           max_num_seqs=len(task["prompts"]), max_num_batched_tokens=2048, enable_prefix_caching=False,
                           seed=42)


def vllm(task):
    """AsyncLLM, every request at once, greedily."""
    from vllm import SamplingParams, TokensPrompt
    from vllm.v1.engine.async_llm import AsyncLLM

    loop = asyncio.new_event_loop()
    params = SamplingParams(temperature=0.0, max_tokens=task["max_tokens"], ignore_eos=True, detokenize=False)
    rounds = iter(range(1 << 30))

    async def start():
        return AsyncLLM.from_engine_args(engine_args(task))

    async def one(name, ids):
        async for out in engine.generate(TokensPrompt(prompt_token_ids=ids), params, name):
            last = out
        return list(last.outputs[0].token_ids)

    async def all_of_them():
        number = next(rounds)
        begin = time.perf_counter()
        answers = await asyncio.gather(*(one(f"{number}-{i}", ids) for i, ids in enumerate(task["prompts"])))
        return time.perf_counter() - begin, answers

    engine = loop.run_until_complete(start())
    return lambda: loop.run_until_complete(all_of_them())


def vllm_benchmark(task):
    """What `vllm bench throughput --async-engine --disable-detokenize` times, over an engine that stays; it samples."""
    from vllm.benchmarks import throughput
    from vllm.benchmarks.datasets import SampleRequest
    from vllm.v1.engine.async_llm import AsyncLLM

    loop = asyncio.new_event_loop()
    requests = [SampleRequest(prompt={"prompt_token_ids": ids}, prompt_len=len(ids), expected_output_len=task["max_tokens"])
                for ids in task["prompts"]]
    rounds = iter(range(1 << 30))

    async def start():
        return AsyncLLM.from_engine_args(engine_args(task))

    def work():
        prefix = f"{next(rounds)}-"
        seconds, _ = loop.run_until_complete(throughput._run_vllm_async_requests(engine, requests, 1, True, False, prefix))
        return seconds, None

    engine = loop.run_until_complete(start())
    return work


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    name = sys.argv[1]
    work = {"transformers": transformers, "vllm": vllm, "vllm-benchmark": vllm_benchmark}[name](json.loads(sys.stdin.readline()))
    print("{}", file=answers, flush=True)
    for _ in sys.stdin:
        seconds, token_ids = work()
        print(json.dumps({"seconds": seconds, **({"token_ids": token_ids} if token_ids else {})}), file=answers, flush=True)


if __name__ == "__main__":  # vLLM starts its processes anew, with this file
    main()
