"""A stand-in for vLLM that runs in one process and notes what it is given."""

from .sampling_params import SamplingParams

__version__ = "0.32.0"
__all__ = ["SamplingParams", "__version__"]
