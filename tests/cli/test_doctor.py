"""llem doctor: the checks of preflight, listed and run, for the machine or for one file."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest
from studies import write

NOTHING = {"LLEM_NVML_LIBRARY": "/nowhere/libnvidia-ml.so.1", "LLEM_SYSROOT": "/nowhere"}


def checks(llem, *arguments, code=0, **options):
    done = llem.run("doctor", *arguments, "--json", **options)
    assert done.returncode == code, done.stderr
    return {(row["check"], row["of"]): row for row in json.loads(done.stdout)}


def test_a_machine_is_looked_at_whole(llem):
    rows = checks(llem, env=NOTHING)
    assert rows["engine.adapter", "sim"]["state"] == rows["engine.start", "sim"]["state"] == "ok"
    assert rows["engine.any", "any"]["state"] == "ok"
    assert rows["sensor.source", "nvml"]["state"] == "absent"
    assert "/nowhere/libnvidia-ml.so.1" in rows["sensor.source", "nvml"]["found"]
    assert rows["sensor.any", "auto"]["state"] == "warning"
    assert all(row["why"] and row["remedy"] for row in rows.values())
    assert all(row["found"] for row in rows.values())


def test_the_text_says_what_to_do_once(llem):
    text = llem.ok("doctor", env=NOTHING)
    rows = checks(llem, env=NOTHING)
    for check, of in rows:
        assert check in text and of in text
    assert text.count("energy.modelled: true adds a modelled value") == 1
    assert f"{len(rows)} checks: " in text
    assert not list(llem.folder.glob("results"))


@pytest.mark.parametrize("check, of, env, found", [
    ("runner.worker", "local", {"LLEM_WORKER": "/nowhere/worker"}, "/nowhere/worker is not a program that can be run"),
    ("engine.start", "sim", {"LLEM_ENGINE_SIM": "/bin/false"}, ""),
])
def test_a_check_that_fails_is_exit_code_1(llem, tmp_path, check, of, env, found):
    for file in ([], [write(tmp_path / "t.yaml")]):
        row = checks(llem, *file, code=1, env=env)[check, of]
        assert row["state"] == "failed"
        assert found in row["found"]
    assert "1 failed" in llem.run("doctor", env=env).stdout


def test_results_that_cannot_be_written(llem, tmp_path):
    (tmp_path / "file").write_text("")
    row = checks(llem, "-o", tmp_path / "file", code=1)["store.results", f"{tmp_path}/file"]
    assert row["state"] == "failed" and "Not a directory" in row["found"]


def test_a_file_is_asked_only_for_what_it_needs(llem, tmp_path):
    path = write(tmp_path / "t.yaml", sweep={"sim.threads": [1, 2], "random_seed": [1, 2]})
    rows = checks(llem, path, env=NOTHING)
    assert {check for check, _ in rows} >= {"store.results", "runner.worker", "engine.adapter", "engine.start", "work.dataset"}
    assert [of for check, of in rows if check.startswith("engine.adapter")] == ["sim"]
    assert len(rows) == len(json.loads(llem.run("doctor", path, "--json", env=NOTHING).stdout))


def test_a_finding_has_its_place(llem, tmp_path):
    path = write(tmp_path / "t.yaml", {"energy.backend": "nvml"})
    row = checks(llem, path, env=NOTHING)["sensor.source", "nvml, or modelled"]
    assert row["state"] == "warning" and row["place"].startswith(f"{path}:")
    plan = llem.run("plan", path, "--json", env=NOTHING)
    assert json.loads(plan.stdout)["findings"] == [row]
    assert row["found"] in plan.stderr


def test_a_wrong_file_is_exit_code_2(llem, tmp_path):
    done = llem.run("doctor", write(tmp_path / "t.yaml", n="many"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "expected" in done.stderr


@pytest.mark.parametrize("least, module, state, found", [
    ("3.0", "json, os", "ok", "python"),
    ("3.99", "json", "absent", "3.99 is the least. Name another in MY_PYTHON"),
    ("3.0", "no_such_engine", "absent", "has no no_such_engine; pip install it, or name another interpreter in MY_PYTHON"),
])
def test_the_interpreter_of_an_engine_is_asked(llem, tmp_path, least, module, state, found):
    (tmp_path / "e" / "snake").mkdir(parents=True)
    (tmp_path / "e" / "snake" / "engine.json").write_text(json.dumps({
        "format": 1, "name": "snake", "summary": "a snake", "protocol": 1, "hash_version": 1, "remedy": "pip install it",
        "command": ["{python}", "{dir}/adapter.py"], "model": {"takes": "none"},
        "python": {"least": least, "variable": "MY_PYTHON", "import": module}}))
    done = llem.run("doctor", "--json", env={**NOTHING, "LLEM_ENGINES_PATH": str(tmp_path / "e"), "MY_PYTHON": sys.executable})
    row = {(row["check"], row["of"]): row for row in json.loads(done.stdout)}["engine.python", "snake"]
    assert row["state"] == state and found in row["found"]


def on_terminal(llem, columns, *arguments):
    """What a terminal of that width gets."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(llem.command(*arguments), env=llem.env | NOTHING, stdout=slave, stderr=slave, cwd=llem.folder)
    os.close(slave)
    text = b""
    try:
        while piece := os.read(master, 4096):
            text += piece
    except OSError:  # the other end is closed
        pass
    os.close(master)
    assert process.wait(60) == 0
    return text.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("command", [("doctor",), ("meter", "list")], ids=" ".join)
def test_a_terminal_gets_whole_words(llem, command):
    narrow, wide = on_terminal(llem, 100, *command), on_terminal(llem, 2000, *command)
    assert len(narrow.splitlines()) > len(wide.splitlines())
    # How much is free changes meanwhile.
    assert [re.sub(r"\d", "0", word) for word in narrow.split()] == [re.sub(r"\d", "0", word) for word in wide.split()]
    words = max(map(len, wide.split()))
    assert all(len(line) <= max(100, words + 48) for line in narrow.splitlines())
