"""The command line before any work: version, help, wrong words, output that cannot be written."""

import re
import subprocess

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
