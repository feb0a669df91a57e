"""A stand-in for torch: tensors are lists, devices are names, and whatever is called is noted."""

import contextlib
import time

from recording import has, note

from . import cuda, distributed  # noqa: F401

__version__ = "2.13.0+fake"


class dtype:
    def __init__(self, name, size):
        self.name, self.itemsize, self.is_floating_point = name, size, True

    def __repr__(self):
        return f"torch.{self.name}"


float32, float16, bfloat16 = dtype("float32", 4), dtype("float16", 2), dtype("bfloat16", 2)


class device:
    def __init__(self, kind, index=None):
        kind, _, number = str(kind).partition(":")
        if kind not in ("cpu", "cuda", "meta"):
            raise RuntimeError(f"there is no device {kind}")
        self.type, self.index = kind, int(number) if number else index

    def __repr__(self):
        return self.type if self.index is None else f"{self.type}:{self.index}"


class Tensor:
    """One or two dimensions."""

    def __init__(self, data, device=None):
        self.data, self.device = data, device

    @property
    def shape(self):
        return (len(self.data), len(self.data[0])) if self.data and isinstance(self.data[0], list) else (len(self.data),)

    def tolist(self):
        return self.data

    def __getitem__(self, key):
        rows, columns = key
        return Tensor([row[columns] for row in self.data[rows]])

    def _each(self, other, act):
        if isinstance(other, Tensor):
            return Tensor([act(a, b) for a, b in zip(self.data, other.data, strict=True)])
        return Tensor([act(a, other) for a in self.data])

    def __le__(self, other):
        return self._each(other, lambda a, b: a <= b)

    def __or__(self, other):
        return self._each(other, lambda a, b: a or b)

    def __and__(self, other):
        return self._each(other, lambda a, b: a and b)

    def any(self, dim):
        return Tensor([any(row) for row in self.data])

    def repeat_interleave(self, times, dim=0):
        return Tensor([row for row in self.data for _ in range(times)])


def tensor(data, device=None):
    return Tensor(data, device)


def isin(values, among):
    return Tensor([[value in among.data for value in row] for row in values.data])


threads = 2


def set_num_threads(n):
    global threads
    threads = n
    note("set_num_threads", n)


def get_num_threads():
    return threads


def get_float32_matmul_precision():
    return "highest"


def manual_seed(seed):
    note("manual_seed", seed)


def compile(function, **options):
    note("compile", sorted(options.items()))
    return function


def inference_mode():
    return contextlib.nullcontext()


def autocast(kind, dtype):
    note("autocast", f"{kind} {dtype}")
    return contextlib.nullcontext()


def forward():
    """A step of a model takes time."""
    time.sleep(0.002)
    if has("prints"):
        print("printed by the engine", flush=True)
