"""GGUF files for the tests, written from Python: headers to be read, a tiny model that llama.cpp runs, files in parts."""

import array
import random
import struct

U16, U32, I32, F32, BOOL, STRING, ARRAY = 2, 4, 5, 6, 7, 8, 9
F32_TENSOR = 0


def _text(value):
    return struct.pack("<Q", len(value.encode())) + value.encode()


class Short(int):
    """An integer of 16 bits."""


class Signed(int):
    """A signed one of 32."""


def _value(value):
    """Type and bytes of a value: bool, int (u32; i32 in lists), float, str, or a list of one of these."""
    if isinstance(value, bool):
        return BOOL, struct.pack("<?", value)
    if isinstance(value, Short):
        return U16, struct.pack("<H", value)
    if isinstance(value, Signed):
        return I32, struct.pack("<i", value)
    if isinstance(value, int):
        return U32, struct.pack("<I", value)
    if isinstance(value, float):
        return F32, struct.pack("<f", value)
    if isinstance(value, str):
        return STRING, _text(value)
    if isinstance(value[0], int):
        return ARRAY, struct.pack(f"<IQ{len(value)}i", I32, len(value), *value)
    kind = _value(value[0])[0]
    return ARRAY, struct.pack("<IQ", kind, len(value)) + b"".join(_value(item)[1] for item in value)


def write(path, pairs, tensors):
    """pairs: name → value; tensors: name → (dimensions, bytes of f32 or None for zeros)."""
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(pairs))
    for name, value in pairs.items():
        kind, data = _value(value)
        head += _text(name) + struct.pack("<I", kind) + data
    body = bytearray()
    for name, (dims, data) in tensors.items():
        n = 1
        for d in dims:
            n *= d
        head += _text(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims)
        head += struct.pack("<IQ", F32_TENSOR, len(body))
        body += data if data is not None else bytes(4 * n)
        body += bytes(-len(body) % 32)
    path.write_bytes(head + bytes(-len(head) % 32) + body)
    return path


def llama(**more):
    """Pairs and tensors of a llama of 2 layers, 2 heads, width 64 that runs; a vocabulary of 512 with every byte a token.

    more: pairs in the place of, or besides, its own; dots are written as double underscores.
    """
    width, ffn, vocab, layers = 64, 96, 512, 2
    rng = random.Random(7)
    words = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + [f"w{i}" for i in range(259, vocab)]
    pairs = {
        "general.architecture": "llama",
        "general.name": "tiny",
        "general.file_type": 0,
        "llama.context_length": 2048,
        "llama.embedding_length": width,
        "llama.block_count": layers,
        "llama.feed_forward_length": ffn,
        "llama.attention.head_count": 2,
        "llama.attention.head_count_kv": 1,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": 32,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": words,
        "tokenizer.ggml.scores": [0.0] * vocab,
        "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * (vocab - 259),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }
    pairs |= {name.replace("__", "."): value for name, value in more.items()}

    def weights(*dims):
        n = dims[0] * (dims[1] if len(dims) > 1 else 1)
        data = [1.0] * n if len(dims) == 1 else [rng.uniform(-0.3, 0.3) for _ in range(n)]
        return list(dims), array.array("f", data).tobytes()

    tensors = {"token_embd.weight": weights(width, vocab), "output_norm.weight": weights(width)}
    shapes = {
        "attn_norm": (width,), "attn_q": (width, 64), "attn_k": (width, 32), "attn_v": (width, 32),
        "attn_output": (64, width), "ffn_norm": (width,), "ffn_gate": (width, ffn), "ffn_up": (width, ffn),
        "ffn_down": (ffn, width),
    }  # fmt: skip
    for layer in range(layers):
        for name, shape in shapes.items():
            tensors[f"blk.{layer}.{name}.weight"] = weights(*shape)
    return pairs, tensors


def in_parts(folder, prefix, pairs, tensors, n):
    """The model in n files, as llama.cpp splits one: the pairs of the model are in the first."""
    names, paths = list(tensors), []
    for i in range(n):
        mine = {"split.no": Short(i), "split.count": Short(n), "split.tensors.count": Signed(len(names))}
        first = {**pairs, **mine} if i == 0 else mine
        part = names[i * len(names) // n : (i + 1) * len(names) // n]
        path = folder / f"{prefix}-{i + 1:05d}-of-{n:05d}.gguf"
        paths.append(write(path, first, {name: tensors[name] for name in part}))
    return paths
