"""llem engine: the list of adapters, and the conformance suite as a person meets it."""

import json
import shutil
import subprocess

import pytest


def test_list_names_every_backend(llem):
    rows = {row["backend"]: row for row in json.loads(llem.ok("engine", "list", "--json"))}
    assert list(rows) == ["llamacpp", "pytorch", "sim", "vllm"]
    assert rows["sim"]["works"] and rows["sim"]["version"].startswith("sim ")
    text = llem.ok("engine", "list")
    for backend in rows:
        assert f"\n{backend} " in "\n" + text


def test_a_program_without_engines_says_where_it_looked(build_dir, tmp_path):
    alone = tmp_path / "bin" / "llem"
    alone.parent.mkdir()
    shutil.copy(build_dir / "bin" / "llem", alone)
    done = subprocess.run([alone, "engine", "list", "--json"], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == []
    assert str(tmp_path / "libexec" / "llem" / "engines") in done.stderr


def test_an_adapter_that_is_gone_is_named(build_dir, tmp_path):
    shutil.copytree(build_dir / "libexec" / "llem" / "engines", tmp_path / "engines")
    (tmp_path / "engines" / "sim" / "llem-engine-sim").unlink()
    env = {"LLEM_ENGINES_PATH": str(tmp_path / "engines"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([build_dir / "bin" / "llem", "engine", "list", "--json"], capture_output=True, text=True,
                          timeout=60, check=True, env=env)
    sim = next(row for row in json.loads(done.stdout) if row["backend"] == "sim")
    assert not sim["works"]
    assert str(tmp_path / "engines" / "sim" / "llem-engine-sim") in sim["reason"]
    assert "LLEM_ENGINE_SIM" in sim["reason"]


def put(folder, name, build_dir, **more):
    """An engine of that name: sim's descriptor and program, with other members."""
    sim = build_dir / "libexec" / "llem" / "engines" / "sim"
    (folder / name).mkdir(parents=True)
    descriptor = json.loads((sim / "engine.json").read_text()) | {"name": name} | more
    (folder / name / "engine.json").write_text(json.dumps(descriptor))
    (folder / name / "llem-engine-sim").symlink_to(sim / "llem-engine-sim")
    return str(folder / name)


def test_the_first_folder_of_the_search_wins(llem, build_dir, tmp_path):
    llem.env |= {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    installed = str(build_dir / "libexec" / "llem" / "engines" / "sim")
    own = put(tmp_path / "config" / "llem" / "engines", "sim", build_dir, summary="the user's")
    mine = put(tmp_path / "config" / "llem" / "engines", "mine", build_dir, summary="my engine")
    (tmp_path / "config" / "llem" / "engines" / "common").mkdir()  # without engine.json it is no engine

    def rows():
        return {row["backend"]: row for row in json.loads(llem.ok("engine", "list", "--json"))}

    assert list(rows()) == ["llamacpp", "mine", "pytorch", "sim", "vllm"]
    assert (rows()["sim"]["folder"], rows()["sim"]["hides"]) == (own, [installed])
    assert (rows()["mine"]["folder"], rows()["mine"]["hides"], rows()["mine"]["works"]) == (mine, [], True)

    named = put(tmp_path / "a", "sim", build_dir, summary="the first")
    second = put(tmp_path / "b", "sim", build_dir)
    llem.env["LLEM_ENGINES_PATH"] = f"{tmp_path}/a:{tmp_path}/none:{tmp_path}/b"
    assert rows()["sim"]["folder"] == named
    assert rows()["sim"]["hides"] == [second, own, installed]
    text = llem.ok("engine", "list")
    assert "sim        yes  the first: sim " in text
    assert [line.strip() for line in text.splitlines() if "hides" in line] == [
        f"hides {folder}" for folder in (second, own, installed)]


def test_a_descriptor_that_is_not_in_order_is_shown_with_its_errors(llem, build_dir, tmp_path):
    put(tmp_path / "e", "mine", build_dir, sumary="x", options=[{"name": "n", "type": "int", "help": "h"}])
    llem.env["LLEM_ENGINES_PATH"] = str(tmp_path / "e")
    row = {row["backend"]: row for row in json.loads(llem.ok("engine", "list", "--json"))}["mine"]
    assert not row["works"]
    assert f"{tmp_path}/e/mine/engine.json:1:" in row["reason"]
    assert "there is no member 'sumary'" in row["reason"] and "did you mean 'summary'?" in row["reason"]
    assert "type: 'int' is none of boolean, integer" in row["reason"]
    shown = llem.ok("engine", "list").split("\nmine ")[1].split("\npytorch ")[0].splitlines()
    assert len(shown) > 4 and all(line.startswith(" " * 16) for line in shown[1:])
    fields = llem.run("config", "fields", "mine")  # not "it has no options"
    assert (fields.returncode, fields.stdout) == (2, "") and "there is no member 'sumary'" in fields.stderr


def test_a_plan_for_one_engine_reads_no_other_descriptor(llem, tmp_path):
    """Neither does a command that needs none at all: a broken one is no hindrance."""
    (tmp_path / "e" / "vllm").mkdir(parents=True)
    (tmp_path / "e" / "vllm" / "engine.json").write_text("{")
    llem.env["LLEM_ENGINES_PATH"] = str(tmp_path / "e")
    study = tmp_path / "s.yaml"
    study.write_text("model: demo\nbackend: sim\n")
    llem.ok("--version")
    assert "vllm" not in llem.run("config", "check", study).stderr


def test_list_survives_an_adapter_that_does_not_run(llem):
    llem.env["LLEM_ENGINE_SIM"] = shutil.which("false")
    rows = {row["backend"]: row for row in json.loads(llem.ok("engine", "list", "--json"))}
    assert not rows["sim"]["works"]
    assert "exit status 1" in rows["sim"]["reason"]


@pytest.mark.parametrize("engine", ["sim", "llamacpp"])
def test_descriptor_and_adapter_agree(llem, engine):
    done = llem.run("engine", "check", engine, "--case", "options")
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("ok    options          takes the options of engine.json"), done.stdout  # none beyond


def test_roles_are_compared_with_what_load_says(llem):
    done = llem.run("engine", "check", "sim", "--case", "roles", "--option", "batch_size=3")
    assert done.stdout.startswith("ok    roles"), done.stdout


def test_a_program_has_no_descriptor(llem, build_dir):
    program = build_dir / "libexec" / "llem" / "engines" / "sim" / "llem-engine-sim"
    done = llem.run("engine", "check", program, "--case", "options")
    assert done.returncode == 2 and "name an engine" in done.stderr
    assert "options" not in llem.run("engine", "check", program, "--case", "schema").stdout.split()[1:2]


def test_check_passes(llem):
    done = llem.run("engine", "check", "sim", "--option", "merge=2", "-o", "tokenizer=bytes")
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert lines[-1].endswith(f"{len(lines) - 1} passed, 0 failed, 0 skipped")


def test_check_fails_with_exit_code_1(llem, build_dir):
    llem.env["LLEM_SIM_FAIL"] = "nondeterministic"
    done = llem.run("engine", "check", build_dir / "libexec" / "llem" / "engines" / "sim" / "llem-engine-sim", "--case", "determinism")
    assert done.returncode == 1
    assert done.stdout.startswith("FAIL  determinism")
    assert done.stdout.splitlines()[-1].endswith("0 passed, 1 failed, 0 skipped")


def test_wrong_words(llem):
    for arguments, says in [
        (["check"], "which program"),
        (["chek", "sim"], "'chek'"),
        (["check", "sim", "--option", "threads"], "KEY=VALUE"),
        (["check", "sim", "--case", "helo"], "'helo'"),
    ]:
        done = llem.run("engine", *arguments)
        assert done.returncode == 2, arguments
        assert says in done.stderr


def test_check_without_a_model_names_the_option(llem):
    done = llem.run("engine", "check", "--case", "load", "llamacpp")
    assert done.returncode == 1
    assert "llem engine check --model PATH llamacpp" in done.stderr
    assert "--model PATH" not in llem.run("engine", "check", "--case", "load", "sim").stderr


def test_check_of_nothing_says_so_once(llem):
    done = llem.run("engine", "check", "./nothing")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'./nothing' is neither a backend" in done.stderr


@pytest.mark.parametrize(("change", "says"), [
    ({"name": "treads", "type": "integer", "help": "h"}, "treads"),
    ({"name": "threads", "type": "number", "default": 1, "range": [1, 256], "help": "h"}, "threads"),
    ({"name": "threads", "type": "integer", "default": 1, "range": [1, 512], "help": "h"}, "threads"),
], ids=["unknown", "type", "range"])
def test_check_holds_engine_json_to_the_adapter(llem, build_dir, tmp_path, change, says):
    folder = put(tmp_path / "e", "mine", build_dir, rules=[], roles={}, retired=[], gpu="never", options=[change])
    llem.env["LLEM_ENGINES_PATH"] = str(tmp_path / "e")
    done = llem.run("engine", "check", "mine", "--case", "options")
    assert done.returncode == 1, done.stdout
    assert done.stdout.startswith("FAIL  options") and says in done.stdout and folder in done.stdout
    assert llem.run("engine", "check", "sim", "--case", "options").returncode == 0
