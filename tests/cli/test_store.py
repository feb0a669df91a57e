"""The folder of a study: it is the study, wherever it lies; what is wrong with it is told; what runs end as, and exit codes."""

import hashlib
import json
import re
import time

import pytest

import studies
import support
from studies import metric, the_study, write

TWO = {"sweep": {"sim.threads": [1, 2]}, "execution": {"n_cycles": 2}}


@pytest.fixture
def done(llem, tmp_path):
    """A finished study of four runs: its table and its folder."""
    out = llem.ok("run", write(tmp_path / "s.yaml", **TWO), "-o", tmp_path / "results", "--quiet")
    return out, the_study(tmp_path / "results")


def test_a_study_is_moved_and_read_without_its_file(llem, tmp_path, done):
    out, study = done
    before = json.loads(llem.ok("show", "--json", study.folder))
    (tmp_path / "s.yaml").unlink()
    elsewhere = tmp_path / "elsewhere" / "copy"
    elsewhere.parent.mkdir()
    study.folder.rename(elsewhere)
    assert llem.ok("show", elsewhere) == out
    after = json.loads(llem.ok("show", "--json", elsewhere))
    for run in before["runs"] + after["runs"]:
        del run["folder"]
    assert after == before
    assert [run["levels"]["sim.threads"] for run in after["runs"][:2]] in ([1, 2], [2, 1])


def test_every_value_of_a_cell_is_in_the_folder(done):
    """What the head shares and a line adds is the configuration that the run's worker was told."""
    _, study = done
    shared = study.description["shared"]
    for index, run in enumerate(study.runs):
        told = json.loads((run / "config.json").read_text())
        cell = study.cells[study.description["runs"][index]]
        base = shared[cell.get("shared", 0)]
        origins = base["origins"] | cell.get("origins", {})
        assert cell["hash"] == told["config_hash"]
        assert {k: v for k, v in origins.items() if k not in cell.get("without", [])} == told["origins"]
        for path, value in cell.get("values", {}).items():
            section, name = path.split(".")
            assert told["config"][section][name] == value


def test_the_journal_holds_the_figures_and_a_checksum_a_line(done):
    _, study = done
    for line in (study.folder / "journal.jsonl").read_bytes().splitlines():
        text, _, total = line.rpartition(b',"sum":"')
        assert total == hashlib.sha256(text).hexdigest()[:8].encode() + b'"}'
    ends = [line for line in study.journal if line["state"] == "ok"]
    assert len(ends) == 4 and len(study.journal) == 8
    for line in ends:
        record = json.loads((study.folder / line["folder"] / "result.json").read_text())
        for name, figure in line["figures"]["metrics"].items():
            assert figure == metric(record, name)
        assert {"output_tokens_per_s", "ttft_mean_s", "joules_per_output_token"} <= set(line["figures"]["metrics"])
        assert line["figures"]["scope"] == record["energy"]["scope"]
        assert line["figures"]["flags"] == record["flags"]


def test_a_damaged_line_is_told_and_nothing_is_lost(llem, done):
    out, study = done
    journal = study.folder / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"state":"ok"', '"state":"no"', 1))
    shown = llem.run("show", study.folder)
    assert shown.returncode == 0 and shown.stdout == out
    assert "llem: warning: line 2 of journal.jsonl is not heeded: its checksum does not match" in shown.stderr
    assert llem.run("show", "--json", study.folder).stderr == shown.stderr


@pytest.mark.parametrize("name, old, new, said", [
    ("study.json", "llem-study/2", "llem-study/1", r"is of another version of llem \(llem-study/1; .* run the study again"),
    ("study.json", '"runs"', '"rums"', "member 'runs'"),
    ("cells.jsonl", "sim.threads=2", "sim.threads=3", r"cells\.jsonl is not the file .* changed or cut off"),
], ids=["an older version", "a member is missing", "a cell was changed"])
def test_a_folder_that_will_not_do(llem, done, name, old, new, said):
    _, study = done
    path = study.folder / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    shown = llem.run("show", study.folder)
    assert shown.returncode == 1 and shown.stdout == ""
    assert str(study.folder) in shown.stderr and re.search(said, shown.stderr), shown.stderr


def test_a_run_that_cannot_be_prepared_is_refused(llem, tmp_path):
    """Its model cannot be read; another's is only not here yet, so the study is worth a try."""
    torn = studies.gguf(tmp_path / "torn.gguf", keep=40)
    path = tmp_path / "s.yaml"
    path.write_text(json.dumps({"backend": "llamacpp", "n": 1, "sweep": {"model": [str(torn), "smollm2-135m-instruct"]},
                                "execution": {"n_cycles": 1, "order": "sequential"}}))
    ended = llem.run("run", path, "-o", tmp_path / "results", env={"LLEM_MODELS_DIR": str(tmp_path / "empty")})
    assert ended.returncode == 1, ended.stderr
    study = the_study(tmp_path / "results")
    assert study.states() == ["refused", "skipped"] and not study.runs
    assert "truncated" in study.journal[0]["message"] and "Run 1 refused: " in ended.stdout


def test_work_that_changed_is_not_done_under_its_old_hash(llem, tmp_path):
    """The model's file is written anew while the study is at work: the run that is still to come is refused."""
    model = tmp_path / "m.gguf"
    model.write_text("one")
    path = write(tmp_path / "s.yaml", {"model": str(model)}, sweep={"sim.threads": [1, 2]},
                 execution={"n_cycles": 1, "order": "sequential", "experiment_gap_seconds": 2})
    process = llem.start("run", path, "-o", tmp_path / "results", "--quiet")
    end = time.monotonic() + 60
    while time.monotonic() < end and not support.any_says(tmp_path, "journal.jsonl", '"ok"'):
        time.sleep(0.02)
    model.write_text("two")
    out, _ = process.communicate(timeout=60)
    study = the_study(tmp_path / "results")
    assert process.returncode == 1 and study.states() == ["ok", "refused"]
    assert "model is not what it was when this was planned" in out


def test_a_journal_of_another_study_is_told(llem, tmp_path, done):
    _, study = done
    llem.ok("run", write(tmp_path / "t.yaml", sweep={"sim.threads": [1, 2, 3]}, execution={"n_cycles": 2}),
            "-o", tmp_path / "others", "--quiet")
    other = the_study(tmp_path / "others")
    (study.folder / "journal.jsonl").write_bytes((other.folder / "journal.jsonl").read_bytes())
    shown = llem.run("show", study.folder)
    assert shown.returncode == 0
    assert "the study has no run of its number" in shown.stderr


def test_the_states_are_documented(llem):
    page = llem.ok("result", "reference")
    for state in ("planned", "running", "ok", "failed", "interrupted", "lost", "skipped", "refused"):
        assert f"| `{state}` | " in page
