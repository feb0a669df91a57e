"""The engine that docs/engine-protocol.md prints, adapter and descriptor, in a folder of its own."""

import json
import re

from support import ROOT


def block(language):
    """The first block of that language behind the heading of the complete adapter."""
    page = (ROOT / "docs" / "engine-protocol.md").read_text().partition("## A complete adapter")[2]
    return re.search(rf"^```{language}\n(.*?)^```", page, re.M | re.S).group(1)


def raw():
    """The same engine with the protocol written out: examples/raw_adapter.py."""
    return (ROOT / "examples" / "raw_adapter.py").read_text()


def install(llem, name="toy", program=None, descriptor=None):
    """Puts the engine into a folder that llem searches; its files. `descriptor`: a function of the parsed engine.json."""
    engines = llem.folder / "engines"
    folder = engines / name
    folder.mkdir(parents=True, exist_ok=True)
    text = block("json")
    if name != "toy" or descriptor:
        tree = json.loads(text)
        tree["name"] = name
        if descriptor:
            descriptor(tree)
        text = json.dumps(tree, indent=1)
    (folder / "engine.json").write_text(text)
    (folder / "toy_adapter.py").write_text(program or block("python"))
    llem.env["LLEM_ENGINES_PATH"] = str(engines)
    return folder
