"""Runs every command of the pages a newcomer follows, in their order, in a copy of the checkout.

A block marked ```console holds commands after "$ "; its other lines are output, shown to the reader and not compared.
A block marked ```sh is all commands. The blocks of one page share one shell, so an `export` holds to its end.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["docs/installation.md", "docs/getting-started.md"]

# Commands that a test cannot run as they stand, and what is run instead.
INSTEAD = {
    "make test": "make --dry-run test",  # this very test would start itself
}


def commands(text):
    """The commands of a page, in order."""
    for kind, body in re.findall(r"^```(console|sh)\n(.*?)^```$", text, re.M | re.S):
        for line in body.splitlines():
            if kind == "console" and not line.startswith("$ "):
                continue
            line = re.sub(r"\s+#.*$", "", line.removeprefix("$ ")).strip()
            if line:
                yield INSTEAD.get(line, line)


def other_fences(text):
    """Blocks whose mark would keep a command from being run."""
    return re.findall(r"^```(shell|bash|shell-session)$", text, re.M)


def script_of(text):
    """A bash script that names each command before it runs it and stops at the first that fails."""
    lines = ["set -eu", "set -o pipefail"]
    for command in commands(text):
        lines += [f"printf '%s\\n' {shell_quote('$ ' + command)}", command]
    return "\n".join(lines) + "\n"


def shell_quote(text):
    return "'" + text.replace("'", "'\\''") + "'"


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The checkout as a newcomer gets it: the files git knows or would add, no build folder."""
    folder = tmp_path_factory.mktemp("newcomer")
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, target = ROOT / name, folder / "llem" / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    (folder / "home").mkdir()
    yield folder / "llem"
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if (ROOT / page).exists()])
def test_every_command_runs(copy, page):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LLEM_", "MAKE", "MFLAGS"))}
    cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))  # libllama and models are not built twice
    environment |= {"HOME": str(copy.parent / "home"), "XDG_CACHE_HOME": cache, "NO_COLOR": "1"}
    done = subprocess.run(
        ["bash", "-c", script_of((copy / page).read_text())],
        cwd=copy,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout[-6000:]


@pytest.mark.parametrize("page", [page for page in PAGES if (ROOT / page).exists()])
def test_every_block_is_marked_so_that_it_runs(page):
    text = (ROOT / page).read_text()
    assert list(commands(text))
    assert not other_fences(text)


def test_commands_are_found_and_nothing_else():
    page = "```console\n$ one --x  # why\noutput\n$ two\n```\ntext\n```sh\nthree\n\n```\n```yaml\n$ no: 1\n```\n"
    assert list(commands(page)) == ["one --x", "two", "three"]


def test_a_command_that_fails_fails_the_page():
    script = script_of("```sh\ntrue\nfalse\necho not reached\n```\n")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stdout.splitlines() == ["$ true", "$ false"]
