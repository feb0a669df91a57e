"""An engine of a stranger has the rights of ours: a folder with the program and the engine.json that the documentation
prints is checked, documented, configured, swept and hashed under its own name, and nothing is compiled."""

import hashlib
import json
import shutil

import pytest

import toy
from studies import check_records, the_study, write

TOY = {"backend": "toy", "model": "none", "n": 1, "max_input_tokens": 1000}


@pytest.fixture
def folder(llem):
    return toy.install(llem)


def run(llem, fields, **more):
    llem.ok("run", write(llem.folder / "s.yaml", {**TOY, **fields}, **more), "-o", llem.folder / "results", timeout=120)
    study = the_study(llem.folder / "results")
    check_records(llem, study)
    return study


def test_it_is_listed(llem, folder):
    rows = {row["backend"]: row for row in json.loads(llem.ok("engine", "list", "--json"))}
    assert rows["toy"]["works"] and rows["toy"]["version"] == "toy 1"
    assert str(folder) in json.dumps(rows["toy"])


@pytest.mark.parametrize("program", [toy.block("python"), toy.raw()], ids=["package", "by hand"])
def test_it_is_checked(llem, program):
    toy.install(llem, program=program)
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


@pytest.mark.parametrize("devices", ['["npu"]', '["gpu", "cpu"]', '"cpu"'])
def test_kinds_of_devices_that_are_not_known_or_not_its_own_are_refused(llem, devices):
    """What such an engine works on nobody would measure; the second says nothing of a GPU in `device`."""
    toy.install(llem, program=toy.block("python").replace('device="cpu"', f'device="cpu", devices={devices}'))
    done = llem.run("run", write(llem.folder / "s.yaml", TOY), "-o", llem.folder / "results", timeout=120)
    assert done.returncode == 1
    assert "devices" in the_study(llem.folder / "results").error()["message"]


def test_its_fields_are_documented(llem, folder):
    text = llem.ok("config", "fields", "toy")
    assert "toy.token_us" in text and "1000000" in text and "Time of one token." in text


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_is_swept_over_its_own_option(llem, folder):
    study = run(llem, {}, sweep={"toy.token_us": [500, 20000]}, execution={"n_cycles": 1})
    assert study.states() == ["ok", "ok"]
    slow, fast = sorted((study.result(i) for i in range(2)), key=lambda r: -r["engine"]["resolved"]["token_us"])
    assert (slow["engine"]["resolved"]["token_us"], fast["engine"]["resolved"]["token_us"]) == (20000, 500)
    assert slow["identity"]["config_hash"] != fast["identity"]["config_hash"]
    assert [r["config"]["toy"] for r in (slow, fast)] == [{"token_us": 20000}, {"token_us": 500}]
    for record in (slow, fast):
        assert record["engine"]["backend"] == "toy" and record["engine"]["name"] == "toy"
        assert record["engine"]["descriptor_sha256"] == digest(folder / "engine.json")
        assert record["engine"]["program_sha256"] == digest(folder / "toy_adapter.py")
    table = llem.ok("show", study.folder)
    assert table.split()[1] == "token_us"


def test_the_page_s_study_is_one(llem, folder):
    path = llem.folder / "page.yaml"
    path.write_text(toy.block("yaml"))
    cells = json.loads(llem.ok("config", "show", "--json", path))
    assert [cell["config"]["toy"] for cell in cells] == [{"token_us": 500}, {"token_us": 1500}]
    assert llem.run("config", "check", path).returncode == 0


def test_its_default_is_sent_and_not_hashed(llem, folder):
    record = run(llem, {}).result()
    assert record["engine"]["resolved"]["token_us"] == 1000

    def hash_of(fields):
        (cell,) = json.loads(llem.ok("config", "show", "--json", write(llem.folder / "c.yaml", {**TOY, **fields})))
        return cell["config_hash"]

    assert hash_of({}) == hash_of({"toy.token_us": 1000}) == record["identity"]["config_hash"]
    assert hash_of({"toy.token_us": 1001}) != record["identity"]["config_hash"]


def test_a_stranger_changes_no_hash_of_ours(llem):
    path = write(llem.folder / "c.yaml", {"sim.token_us": 5})
    before = llem.ok("config", "show", "--json", path)
    toy.install(llem)
    assert llem.ok("config", "show", "--json", path) == before


@pytest.mark.parametrize("fields, place, says", [
    ({"toy.tokn_us": 5}, "tokn_us", ("tokn_us", "token_us")),
    ({"toy.token_us": -5}, "-5", ("toy.token_us", "1000000")),
    ({"toy.token_us": "fast"}, '"fast"', ("toy.token_us", "integer")),
    ({"toy.token_us": 1.5}, "1.5", ("toy.token_us", "integer")),
    ({"sim.token_us": 5}, '"token_us": 5', ("sim.token_us", "toy")),
    ({"backend": "tpy"}, '"tpy"', ("tpy", "toy")),
], ids=["name", "range", "type", "fraction", "section of another", "engine"])
def test_wrong_words_are_located(llem, folder, fields, place, says):
    path = write(llem.folder / "s.yaml", {**TOY, **fields})
    done = llem.run("config", "check", path)
    assert done.returncode == 2
    line = next(i for i, text in enumerate(path.read_text().splitlines(), 1) if place in text)
    assert f"s.yaml:{line}:" in done.stderr
    for words in says:
        assert words in done.stderr


def test_a_descriptor_that_is_not_in_order_is_located(llem):
    folder = toy.install(llem, descriptor=lambda tree: tree["options"][0].update(rnage=[1, 2]))
    done = llem.run("config", "check", write(llem.folder / "s.yaml", TOY))
    assert done.returncode == 2
    assert f"{folder}/engine.json:" in done.stderr and "rnage" in done.stderr and "range" in done.stderr
    assert llem.run("config", "check", write(llem.folder / "other.yaml")).returncode == 0  # it is not read for another


def test_a_variable_names_another_program(llem, folder):
    other = llem.folder / "other"
    other.write_text("#!/usr/bin/env python3\n" + toy.block("python").replace('engine_version="1"', 'engine_version="2"'))
    other.chmod(0o755)
    llem.env["LLEM_ENGINE_TOY"] = str(other)
    assert run(llem, {}).result()["engine"]["version"] == "2"


def test_without_its_folder_it_is_no_engine(llem, folder):
    path = write(llem.folder / "s.yaml", TOY)
    assert llem.run("config", "check", path).returncode == 0
    shutil.rmtree(folder)
    done = llem.run("config", "check", path)
    assert done.returncode == 2 and "toy" in done.stderr
