"""An engine of a stranger has the rights of ours: a folder with the program and the engine.json that the documentation
prints is listed and checked, and nothing is compiled."""

import json

import pytest

import toy


@pytest.fixture
def folder(llem):
    return toy.install(llem)


def test_it_is_listed(llem, folder):
    rows = {row["backend"]: row for row in json.loads(llem.ok("engine", "list", "--json"))}
    assert rows["toy"]["works"] and rows["toy"]["version"] == "toy 1"
    assert str(folder) in json.dumps(rows["toy"])


def test_it_is_checked(llem, folder):
    done = llem.run("engine", "check", "toy", timeout=120)
    assert done.returncode == 0, done.stdout
    lines = {line.split()[1]: line for line in done.stdout.splitlines()[:-1]}
    assert lines["options"].startswith("ok ") and lines["bad-value"].startswith("ok ")
    assert not any(line.startswith("FAIL") for line in lines.values())


@pytest.mark.parametrize("change, says", [
    (lambda o: o.update(range=[0, 5000]), ("option 'token_us'", "integer from 0 to 5000", "integer from 0 to 1000000")),
    (lambda o: o.update(type="number"), ("option 'token_us'", "engine.json says number", "the adapter integer")),
    (lambda o: o.update(name="token_ms"), ("option 'token_ms'", "engine.json says integer", "has no such option")),
    (lambda o: o.update(default=7), ("option 'token_us'", "engine.json says default 7", "the adapter default 1000")),
    (lambda o: o.update(unit="ms"), ("option 'token_us'", "(ms)", "(µs)")),
], ids=["range", "type", "unknown", "default", "unit"])
def test_a_descriptor_that_says_otherwise(llem, change, says):
    folder = toy.install(llem, descriptor=lambda tree: change(tree["options"][0]))
    done = llem.run("engine", "check", "toy", "--case", "options")
    assert done.returncode == 1
    assert done.stdout.startswith("FAIL  options")
    lines = (folder / "engine.json").read_text().partition('"options"')[0].count("\n")
    assert f"{folder}/engine.json:{lines + 2}:3: " in done.stdout
    for words in says:
        assert words in done.stdout


def test_what_the_engine_has_beyond_is_listed(llem):
    toy.install(llem, descriptor=lambda tree: tree.update(options=[]))
    done = llem.run("engine", "check", "toy", "--case", "options")
    assert done.returncode == 0
    assert "does not have: token_us" in done.stdout
