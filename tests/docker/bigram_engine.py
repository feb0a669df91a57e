"""The engine of the folder bigram, laid where llem looks for engines, and a small study for it."""

import shutil
from pathlib import Path

STUDY = {
    "backend": "bigram",
    "model": "none",
    "n": 2,
    "max_input_tokens": 200,
    "max_output_tokens": 8,
    "warmup.enabled": False,
    "energy.modelled": True,
    "bigram.text": "corpus.txt",
}
TEXT = "the cat sat on the mat and the rat sat on the cat. " * 20


def install(llem):
    """The engine's folder. `corpus.txt` lies beside the study."""
    folder = llem.folder / "engines" / "bigram"
    shutil.copytree(Path(__file__).resolve().parent / "bigram", folder)
    llem.env["LLEM_ENGINES_PATH"] = str(folder.parent)
    (llem.folder / "corpus.txt").write_text(TEXT)
    return folder
