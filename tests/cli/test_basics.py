"""The command line before any work: version, help, wrong words, output that cannot be written."""

import json
import os
import pwd
import re
import subprocess
from pathlib import Path

import pytest


def test_version_is_one_line(llem):
    assert re.fullmatch(r"llem \d+\.\d+\.\d+\n", llem.ok("--version"))


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help_goes_to_stdout(llem, word):
    done = llem.run(word)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: llem COMMAND")
    assert done.stderr == ""


def test_no_command_is_a_usage_error(llem):
    done = llem.run()
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Usage: llem COMMAND" in done.stderr


def test_unknown_command_is_named(llem):
    done = llem.run("mesure")
    assert done.returncode == 2
    assert "'mesure'" in done.stderr
    assert "llem help" in done.stderr


def test_every_command_explains_itself(llem):
    names = re.findall(r"^  (\S+) ", llem.ok("--help"), re.M)
    for name in names:
        by_option, by_word = llem.run(name, "--help"), llem.run("help", name)
        assert by_option.returncode == by_word.returncode == 0, name
        assert by_option.stdout == by_word.stdout, name
        assert f"llem {name}" in by_option.stdout, name


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_full_disk_is_an_error(llem, arguments):
    with open("/dev/full", "w") as full:
        done = llem.run(*arguments, stdout=full)
    assert "No space left on device" in done.stderr
    assert done.returncode == 1
    assert "cannot write the output" in done.stderr


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_closed_stdout_is_an_error(llem, arguments):
    command = " ".join(map(str, llem.command(*arguments)))
    done = subprocess.run(
        ["sh", "-c", f"exec {command} >&-"], env=llem.env, stderr=subprocess.PIPE, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "cannot write the output" in done.stderr


@pytest.mark.parametrize("command", ["plan", "run", "result", "config", "model", "engine", "meter"])
def test_usage_says_option_once(llem, command):
    usage = llem.ok(command, "--help").splitlines()[1]
    assert usage.count("[OPTION…]") == 1
    assert "  " not in usage.strip()


# --- Folders of the user ---


def place_of(llem, env, **options):
    """Where data sets are kept, and what was said on stderr."""
    gone = {"HOME", "XDG_CACHE_HOME", "LLEM_DATASETS_DIR"}
    llem.env = {k: v for k, v in llem.env.items() if k not in gone} | env
    done = llem.run("dataset", "list", "--json", **options)
    assert done.returncode == 0, done.stderr
    (path,) = [row["path"] for row in json.loads(done.stdout) if row["name"] == "aienergyscore"]
    return path.removesuffix("/llem/datasets/aienergyscore.jsonl"), done.stderr


@pytest.mark.parametrize("home", [None, "", "some/where"])
@pytest.mark.parametrize("cache", [None, "", "here"])
def test_a_home_or_a_folder_that_is_no_absolute_path_counts_as_not_set(llem, home, cache):
    """As the XDG Base Directory Specification has it; a home is then that of the list of users."""
    env = {k: v for k, v in (("HOME", home), ("XDG_CACHE_HOME", cache)) if v is not None}
    assert place_of(llem, env) == (f"{pwd.getpwuid(os.getuid()).pw_dir}/.cache", "")


def test_absolute_folders_are_taken(llem):
    assert place_of(llem, {"HOME": "/h", "XDG_CACHE_HOME": "/c"})[0] == "/c"
    assert place_of(llem, {"HOME": "/h"})[0] == "/h/.cache"


def test_a_user_without_a_home_is_told(llem):
    program = Path(llem.command()[0]).resolve()
    if os.getuid() != 0 or not all(folder.stat().st_mode & 0o005 == 0o005 for folder in program.parents):
        pytest.skip("needs:root a user whom nobody knows cannot be had, or not start llem where it lies")
    where, said = place_of(llem, {}, preexec_fn=lambda: os.setuid(4242), cwd="/")
    assert where == "/.cache" and "HOME is not set, and user 4242 has no entry in the list of users" in said
    assert "warning" not in place_of(llem, {"XDG_CACHE_HOME": "/c"}, preexec_fn=lambda: os.setuid(4242), cwd="/")[1]
