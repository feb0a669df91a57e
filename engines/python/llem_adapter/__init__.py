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

An engine's own exceptions are answered with their class and text, and the adapter goes on. Import this package first:
it settles what the engine's libraries find in the environment. Import the engine in `schema` and `load`, so that `hello` is
quick.
"""

from .process import quiet, resident_peak_bytes

quiet()

from .adapter import Adapter, Load, Loaded  # noqa: E402
from .options import Option, options_of  # noqa: E402
from .serve import is_oom, serve  # noqa: E402
from .wheels import builds, versions  # noqa: E402
from .words import Refused  # noqa: E402
from .work import Batch, Request, Stopped, now_ns  # noqa: E402

__all__ = ["Adapter", "Batch", "Load", "Loaded", "Option", "Refused", "Request", "Stopped", "builds",
           "is_oom", "now_ns", "options_of", "resident_peak_bytes", "serve", "versions"]
