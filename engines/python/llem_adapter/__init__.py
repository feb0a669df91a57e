# SPDX-License-Identifier: MIT
"""What every engine adapter in Python shares: the engine protocol of docs/engine-protocol.md, options as rows, batches
and their outcomes. The standard library and nothing else; Python 3.9.

    from llem_adapter import Adapter, Batch, Load, Loaded, Option, serve

    class Mine(Adapter):
        name, version, engine = "mine-adapter", "1", "mine"
        options = [Option("threads", "integer", 1, low=1, high=64, help="CPU threads")]

        def load(self, load: Load) -> Loaded: ...
        def generate(self, batch: Batch) -> None: ...

    if __name__ == "__main__":
        serve(Mine())

An engine's own exceptions are answered with their class and text, and the adapter goes on.
"""

from .adapter import Adapter, Load, Loaded
from .options import Option, options_of
from .serve import serve
from .work import Batch, Request, Stopped, now_ns
from .words import Refused

__all__ = ["Adapter", "Batch", "Load", "Loaded", "Option", "Refused", "Request", "Stopped", "now_ns",
           "options_of", "serve"]
