"""What the stand-in was given, in lines of a file: name, then value."""

import os


def note(name, value):
    folder = os.environ.get("LLEM_TEST_RECORDING")
    if folder:
        with open(os.path.join(folder, str(os.getpid())), "a", encoding="utf-8") as file:
            file.write(f"{name} {value}\n")


def has(word):
    """A word of LLEM_FAKE_VLLM: what this machine, or this engine, has or does."""
    return word in os.environ.get("LLEM_FAKE_VLLM", "").split()
