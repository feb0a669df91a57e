"""What the stand-ins for torch and transformers were given, in lines of a file of each process: name, then value."""

import os


def note(name, value):
    folder = os.environ.get("LLEM_TEST_RECORDING")
    if folder:
        with open(os.path.join(folder, str(os.getpid())), "a", encoding="utf-8") as file:
            file.write(f"{name} {value}\n")


def note_all(prefix, values):
    for name, value in values.items():
        note(f"{prefix}.{name}", value)


def has(word):
    """A word of LLEM_FAKE_TORCH: what this machine, or this engine, has or does."""
    return word in os.environ.get("LLEM_FAKE_TORCH", "").split()
