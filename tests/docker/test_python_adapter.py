"""An engine in Python, in a folder of its user's, in an image that has Python and nothing of llem."""

from pathlib import Path

import pytest
from studies import check_records, metric, the_study, write

import bigram_engine
from bigram_engine import STUDY


@pytest.fixture
def folder(llem):
    return bigram_engine.install(llem)


def run(llem, name, image=None, fields=None, expect=0, **more):
    results = llem.folder / name
    if image:
        llem.env["LLEM_RUNNER_BIGRAM"] = f"docker:{image}"
    path = write(llem.folder / f"{name}.yaml", {**STUDY, **(fields or {})}, execution={"n_cycles": 1}, **more)
    done = llem.run("run", path, "-o", results, timeout=120)
    assert done.returncode == expect, f"{done.stdout}\n{done.stderr}"
    study = the_study(results)
    check_records(llem, study)
    return study


def facts(study, index=0):
    return study.result(index)["engine"]["facts"]


def test_the_image_has_python_and_nothing_of_ours(docker):
    image = docker.image("python")
    assert docker.ok("run", "--rm", "--network", "none", image, "python3", "-c", "print(6 * 7)") == "42"
    absent = docker.run("run", "--rm", "--network", "none", image, "sh", "-c", "ls -d /opt/* ; command -v llem-worker pip")
    assert absent.returncode != 0 and absent.stdout == ""


def test_it_runs_and_says_what_it_says_here(docker, llem, folder):
    here = run(llem, "here")
    there = run(llem, "there", docker.image("python"))
    assert there.states() == ["ok"]
    for part in ("input_ids_sha256", "output_ids_sha256"):
        assert there.result()["workload"][part] == here.result()["workload"][part]
    assert metric(there.result(), "tokens_out") == metric(here.result(), "tokens_out")
    assert there.result()["identity"]["config_hash"] == here.result()["identity"]["config_hash"]
    assert there.result()["context"]["runner"] == "docker"


def test_it_is_the_python_of_the_image(docker, llem, folder):
    """Its version is in the record, its files are where the image has none, its user is ours."""
    image = docker.image("python")
    version = docker.ok("run", "--rm", "--network", "none", image, "python3", "-c", "import sys; print(sys.version.split()[0])")
    there = facts(run(llem, "there", image))
    assert there["python"] == version
    assert there["text"].startswith("/llem/host/") and there["text"].endswith("/corpus.txt")
    assert there["environment"]["HOME"] == "/llem/home"


def test_its_cache_is_kept_between_containers(docker, llem, folder):
    """What `llem` keeps in its own changes no work and is no cache of the engine's."""
    ours = Path(llem.env["XDG_CACHE_HOME"]) / "llem"
    ours.mkdir(parents=True, exist_ok=True)
    (ours / "x").write_text("")
    for state in ("cold", "warm"):
        study = run(llem, state, docker.image("python"))
        assert facts(study)["cache"] == state
        assert study.result()["context"]["caches"] == {"/llem/home/.cache/bigram": state}


def test_what_it_says_when_it_fails_is_kept(docker, llem, folder):
    study = run(llem, "there", docker.image("python"), {"bigram.fail": "crash:a last word"}, expect=1)
    assert study.error()["class"] == "EngineDied"
    assert "a last word" in "\n".join(study.error()["log_tail"])
    assert "a last word" in (study.runs[0] / "engine.log").read_text()
