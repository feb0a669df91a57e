import enum
import time

from .noting import has, note


class RequestOutputKind(enum.Enum):
    CUMULATIVE = 0
    DELTA = 1
    FINAL_ONLY = 2


class SamplingParams:
    def __init__(self, n: int = 1, presence_penalty: float = 0.0, frequency_penalty: float = 0.0,
                 repetition_penalty: float = 1.0, temperature: float = 1.0, top_p: float = 1.0, top_k: int = 0, min_p: float = 0.0,
                 seed: int | None = None, stop: str | list | None = None, ignore_eos: bool = False,
                 max_tokens: int | None = 16, min_tokens: int = 0, detokenize: bool = True, logprobs: int | None = None,
                 output_kind: RequestOutputKind = RequestOutputKind.CUMULATIVE, _eos_token_id: int | None = None) -> None:
        given = {name: value for name, value in vars().items() if name != "self"}
        vars(self).update(given)
        for name, value in given.items():
            note(f"sampling.{name}", value)
        if has("hangs_in_prepare"):
            note("hangs", "prepare")
            time.sleep(3600)
