"""llem show: a study's table, one run's figures, and what is neither."""

import json

import pytest
from studies import the_study, write


@pytest.fixture
def study(llem, tmp_path):
    path = write(tmp_path / "t.yaml", sweep={"sim.fail": ["none", "load_error"]}, execution={"n_cycles": 1, "order": "sequential"})
    assert llem.run("run", path, "-o", tmp_path / "results").returncode == 1
    return the_study(tmp_path / "results")


def test_a_run_shows_every_figure_of_its_record(llem, study):
    record = json.loads((study.runs[0] / "result.json").read_text())
    text = llem.ok("show", study.runs[0])
    assert text.startswith(f"{study.runs[0].name}: ok\n  model   scripted on sim\n")
    for name, figure in record["metrics"].items():
        assert name in text
        assert (figure.get("reason") or "") in text
    assert record["identity"]["config_hash"] in text
    assert "SIMULATED" in text and "t.yaml" in text
    for flag in record["flags"]:
        assert f"  {flag}: {record['flag_meanings'][flag]}" in text
    assert json.loads(llem.ok("show", study.runs[0], "--json")) == record
    assert llem.ok("show", study.runs[0] / "result.json") == text


def test_a_failed_run_says_what_went_wrong(llem, study):
    record = json.loads((study.runs[1] / "error.json").read_text())
    text = llem.ok("show", study.runs[1])
    assert text.startswith(f"{study.runs[1].name}: failed, {record['class']}\n")
    assert record["message"] in text and f"phase: {record['phase']}" in text
    assert "load_error" in text  # the configuration lies beside the record
    assert json.loads(llem.ok("show", study.runs[1], "--json")) == record


def test_a_study_as_json_has_a_run_a_line(llem, study):
    text = llem.ok("show", study.folder, "--json")
    tree = json.loads(text)
    assert [(r["run"], r["cycle"], r["state"]) for r in tree["runs"]] == [(1, 1, "ok"), (2, 1, "failed")]
    assert len(text.splitlines()) == 2 + len(tree["runs"]) + 1
    record = json.loads((study.runs[0] / "result.json").read_text())
    assert tree["runs"][0]["metrics"] == record["metrics"]
    assert tree["runs"][0]["levels"] == {"sim.fail": "none"}
    assert "metrics" not in tree["runs"][1] and tree["runs"][1]["message"]
    assert tree["study"]["name"] == "t"


def test_a_record_that_cannot_be_read_is_said(llem, study):
    (study.runs[0] / "result.json").write_text('{"schema": ')
    done = llem.run("show", study.runs[0])
    assert (done.returncode, done.stdout) == (1, "")
    assert "result.json" in done.stderr
    assert "result.json" in json.loads(llem.ok("show", study.folder, "--json"))["runs"][0]["unreadable"]


@pytest.mark.parametrize("change", ["version", "no_schema", "hash", "cycle"])
def test_a_record_that_is_not_ours_is_not_shown_as_if_it_were(llem, study, change):
    file = study.runs[0] / "result.json"
    record = json.loads(file.read_text())
    if change == "version":
        record["schema"], word = "llem-result/99", "of another version of llem (llem-result/99; this one reads llem-result/1)"
    elif change == "no_schema":
        del record["schema"]
        word = "is no record of llem"
    elif change == "hash":
        record["identity"]["config_hash"], word = "0123456789abcdef", "belongs to another run (configuration 01234567, cycle 1)"
    else:
        record["identity"]["cycle"], word = 2, "belongs to another run"
    file.write_text(json.dumps(record))
    told = json.loads(llem.ok("show", study.folder, "--json"))["runs"][0]
    assert word in told["unreadable"] and "metrics" not in told
    table = llem.ok("show", study.folder)
    assert next(line for line in table.splitlines() if line.startswith("1 ")).split()[-1] == "lost"
    if change in ("version", "no_schema"):
        done = llem.run("show", study.runs[0])
        assert done.returncode == 1 and word in done.stderr


@pytest.mark.parametrize(
    ("text", "word"), [("", "study.json"), ("{}", "is not that of a study"), ('{"schema": "llem-study/99"}', "llem-study/99")]
)
def test_a_study_that_is_none(llem, study, text, word):
    (study.folder / "study.json").write_text(text)
    done = llem.run("show", study.folder)
    assert (done.returncode, done.stdout) == (1, "") and word in done.stderr, done.stderr


def test_no_option_is_ignored(llem, study):
    for arguments, said in (
        ([study.runs[0], "--sort", "run"], "--sort is of a study's table: name the study's folder, not a run's"),
        ([study.runs[0], "--columns", "run"], "--columns is of a study's table: name the study's folder"),
        ([study.folder, "--json", "--sort", "run"], "--sort is of a study's table: leave --json out"),
    ):
        done = llem.run("show", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr


def test_what_is_neither(llem, study, tmp_path):
    for folder, said in (
        (tmp_path / "results", f"is a folder of studies, not one of them; try:  llem show {study.folder}"),
        (tmp_path / "home", "is neither the folder of a study nor of a run"),
        (tmp_path / "nowhere", f"there is no folder {tmp_path}/nowhere; 'llem run' names"),
    ):
        done = llem.run("show", folder)
        assert (done.returncode, done.stdout) == (1, "")
        assert said in done.stderr
