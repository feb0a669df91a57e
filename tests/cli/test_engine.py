"""llem engine: the list of adapters, and the conformance suite as a person meets it."""

import json
import shutil
import subprocess


def test_list_names_every_backend(llem):
    rows = {row["backend"]: row for row in json.loads(llem.ok("engine", "list", "--json"))}
    assert list(rows) == ["llamacpp", "sim", "pytorch", "vllm"]
    assert rows["sim"]["works"] and rows["sim"]["version"].startswith("sim ")
    assert not rows["vllm"]["works"] and "LLEM_ENGINE_VLLM" in rows["vllm"]["reason"]
    text = llem.ok("engine", "list")
    for backend in rows:
        assert f"\n{backend} " in "\n" + text


def test_list_says_where_it_looked(build_dir, tmp_path):
    alone = tmp_path / "bin" / "llem"
    alone.parent.mkdir()
    shutil.copy(build_dir / "bin" / "llem", alone)
    done = subprocess.run([alone, "engine", "list", "--json"], capture_output=True, text=True, timeout=60, check=True)
    sim = next(row for row in json.loads(done.stdout) if row["backend"] == "sim")
    assert not sim["works"]
    assert str(tmp_path / "libexec" / "llem" / "engines") in sim["reason"]
    assert "LLEM_ENGINE_SIM" in sim["reason"]


def test_list_survives_an_adapter_that_does_not_run(llem):
    llem.env["LLEM_ENGINE_SIM"] = shutil.which("false")
    rows = {row["backend"]: row for row in json.loads(llem.ok("engine", "list", "--json"))}
    assert not rows["sim"]["works"]
    assert "exit status 1" in rows["sim"]["reason"]


def test_check_passes(llem):
    done = llem.run("engine", "check", "sim", "--option", "merge=2", "-o", "tokenizer=bytes")
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert lines[-1].endswith(f"{len(lines) - 1} passed, 0 failed, 0 skipped")


def test_check_fails_with_exit_code_1(llem, build_dir):
    llem.env["LLEM_SIM_FAIL"] = "nondeterministic"
    done = llem.run("engine", "check", build_dir / "bin" / "llem-engine-sim", "--case", "determinism")
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
