"""A stand-in for transformers: a model that says token after token, and notes what it was given."""

import os
import time

import torch
from recording import has, note, note_all

__version__ = "5.19.0"
VOCABULARY = 512
END = 2
WEIGHTS = 1000


class GenerationConfig:
    def __init__(self, **options):
        self.eos_token_id = END
        self.typical_p = self.prefill_chunk_size = self.max_cache_len = self.num_return_sequences = None
        self.__dict__.update(options)
        self.given = options


    def _get_default_generation_params(self):
        return {"typical_p": 1.0, "top_k": 50, "num_return_sequences": 1, "no_repeat_ngram_size": 0, "early_stopping": False,
                "length_penalty": 1.0, "num_assistant_tokens": 20, "assistant_confidence_threshold": 0.4}


class BitsAndBytesConfig:
    llm_int8_threshold, bnb_4bit_quant_type, bnb_4bit_use_double_quant, bnb_4bit_compute_dtype = 6.0, "fp4", False, torch.float32

    def __init__(self, **options):
        note_all("bnb", options)
        self.__dict__.update(options)


class MinNewTokensLengthLogitsProcessor:
    def __init__(self, n_prompt, least, eos, device=None):
        self.least = least


class Config:
    pass


class Weights:
    def __init__(self, dtype, device):
        self.dtype, self.device, self.shape = dtype, device, (VOCABULARY, 2)

    def numel(self):
        return WEIGHTS

    def element_size(self):
        return self.dtype.itemsize


class Embeddings:
    pass


class Model:
    def __init__(self, options):
        dtype = torch.float32 if has("keeps-fp32") else options["dtype"]
        place = options.get("device_map", "cpu")
        if "distributed_config" in options and torch.cuda.is_available():
            place = f"cuda:{os.environ['LOCAL_RANK']}"
        place = place[""] if isinstance(place, dict) else "cuda:0" if place == "auto" and has("cuda") else place
        self.weights = Weights(dtype, torch.device("cpu" if place in ("auto", "balanced") else place))
        if has("offloads"):
            self.hf_device_map = {"layers.0": 0, "layers.1": "cpu"}
        self.config, self.generation_config = Config(), GenerationConfig()
        if "quantization_config" in options:
            self.config.quantization_config = options["quantization_config"]
        self.config._attn_implementation = "eager" if has("only-eager") else options["attn_implementation"]
        self.forward = torch.forward

    def eval(self):
        note("eval", "")

    def to(self, device):
        note("to", device)
        if not has("stays-on-cpu"):
            self.weights.device = device

    def parameters(self):
        return iter([self.weights])

    def get_input_embeddings(self):
        embeddings = Embeddings()
        embeddings.weight = self.weights
        return embeddings

    def generate(self, input_ids, attention_mask, generation_config, stopping_criteria, logits_processor, assistant_model=None):
        if not self.config._attn_implementation:
            raise AssertionError
        note("generate.rows", input_ids.shape[0])
        note("generate.length", input_ids.shape[1])
        note_all("generation", generation_config.given)
        for processor in logits_processor:
            value = next((vars(processor)[name] for name in ("penalty", "least", "size") if name in vars(processor)), None)
            note("processor", (type(processor).__name__, value))
        if assistant_model:
            note("assistant.generation", sorted(assistant_model.generation_config.given.items()))
        if has("rank-fails") and os.environ["RANK"] == "1":
            raise ValueError("no luck")
        if has("rank-fails"):  # the others wait for it in what all compute together
            time.sleep(0.2 if has("comes-back") else 3600)
            raise RuntimeError("Connection closed by peer")
        if has("out-of-memory"):
            raise MemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return self._say(input_ids, generation_config, stopping_criteria)

    def _say(self, input_ids, config, criteria):
        """Tokens 10, 2 (the end of a sequence), 12 …, the same in every row; several at a time where they are guessed."""
        rows, said = [list(row) for row in input_ids.tolist()], 0
        pace = 3 if config.given.get("prompt_lookup_num_tokens") else 1
        while said < config.max_new_tokens:
            self.forward()
            for _ in range(min(pace, config.max_new_tokens - said)):
                said += 1
                for row in rows:
                    row.append(END if said == 2 else 9 + said)
            note("step", said)
            if all(criteria[0](torch.Tensor(rows), None).tolist()):
                break
        return torch.Tensor(rows)


class AutoModelForCausalLM:
    @staticmethod
    def from_pretrained(source, **options):
        note("from_pretrained", os.path.basename(str(source)))
        note_all("from_pretrained", {k: v for k, v in options.items() if k != "quantization_config"})
        if has("no-flash") and options["attn_implementation"].startswith("flash"):
            raise ImportError("FlashAttention2 has been toggled on, but the package flash_attn is not installed: no such attention")
        return Model(options)


class Tokenizer:
    """A token a word."""

    def __call__(self, text, add_special_tokens=True, split_special_tokens=False):
        ids = [5 + sum(word.encode()) % (VOCABULARY - 5) for word in text.split()]
        return {"input_ids": [1, *ids] if add_special_tokens else ids}


class AutoTokenizer:
    @staticmethod
    def from_pretrained(source, **options):
        note_all("tokenizer", options)
        return Tokenizer()
