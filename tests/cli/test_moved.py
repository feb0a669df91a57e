"""The end of a run and its folder: llem killed while it keeps a run, a study folder that goes away under it."""

import errno
import json
import shutil
import subprocess

import pytest

import support
from studies import check_records, the_study, write

ONE = {"execution": {"n_cycles": 1}, "sweep": {"sim.threads": [1]}}


def killed_while_it_moved(study, moved):
    """The folder as it is when llem is killed after it moved so many files of its only run (None: before it began)."""
    run = study.runs[0]
    config_hash = json.loads((run / "config.json").read_text())["config_hash"]
    lines = (study.folder / "journal.jsonl").read_text().splitlines(keepends=True)
    exchange = study.folder / json.loads(lines[0])["exchange"]
    (study.folder / "journal.jsonl").write_text(lines[0])
    exchange.mkdir()
    partial = run.with_name(run.name + ".partial")
    if moved is not None:
        partial.mkdir()
    prefixed = ("config.json", "result.json", "error.json")
    order = sorted(run.iterdir(), key=lambda path: (path.name not in prefixed, path.name))
    for number, path in enumerate(order):
        to = exchange / (f"{config_hash}_{path.name}" if path.name in prefixed else path.name)
        path.rename(partial / path.name if moved is not None and number < moved else to)
    run.rmdir()
    return exchange


@pytest.mark.parametrize("moved", [None, 0, 1, 2, 4, 99])
def test_a_run_whose_llem_was_killed_while_it_kept_it_is_whole(llem, tmp_path, moved):
    llem.ok("run", write(tmp_path / "s.yaml", **ONE), "-o", tmp_path / "results", "--quiet")
    study = the_study(tmp_path / "results")
    before = llem.ok("show", study.folder)
    files = {path.name: path.read_bytes() for path in study.runs[0].iterdir()}
    exchange = killed_while_it_moved(study, moved)
    assert llem.ok("show", study.folder) == before
    again = the_study(tmp_path / "results")
    assert {path.name: path.read_bytes() for path in again.runs[0].iterdir()} == files
    assert again.states() == ["ok"] and not exchange.exists()
    check_records(llem, again)
    assert llem.ok("show", study.folder) == before


def test_a_worker_that_is_still_there_keeps_its_files(llem, tmp_path):
    """A result may still be disowned by the worker that wrote it: nobody takes it while that one holds its file."""
    llem.ok("run", write(tmp_path / "s.yaml", **ONE), "-o", tmp_path / "results", "--quiet")
    study = the_study(tmp_path / "results")
    exchange = killed_while_it_moved(study, None)
    held = next(exchange.glob("*_config.json"))
    with subprocess.Popen(["flock", held, "sleep", "60"]) as holder:
        support.wait_until(lambda: subprocess.run(["flock", "-n", held, "true"], check=False).returncode != 0)
        shown = llem.ok("show", study.folder)
        holder.kill()
    assert "lost" in shown and "_result.json" in shown and exchange.exists()


def test_without_locks_a_reader_moves_nothing(llem, tmp_path, build_dir):
    """Nobody could tell whether the llem that fills the folder is still at it."""
    llem.ok("run", write(tmp_path / "s.yaml", **ONE), "-o", tmp_path / "results", "--quiet")
    study = the_study(tmp_path / "results")
    exchange = killed_while_it_moved(study, 1)
    locks = {"LD_PRELOAD": str(build_dir / "lib" / "libllem-locks.so"), "LLEM_TEST_LOCKS": str(errno.ENOLCK),
             "ASAN_OPTIONS": "verify_asan_link_order=0"}
    shown = llem.run("show", study.folder, env=locks)
    assert shown.returncode == 0 and "lost" in shown.stdout and exchange.exists(), shown.stderr
    assert "ok" in llem.ok("show", study.folder) and not exchange.exists()


@pytest.mark.parametrize("way", ["removed", "renamed", "files removed"])
def test_a_study_folder_that_goes_away_ends_the_study(llem, tmp_path, way):
    fields = {"sim.token_us": 200000, "n": 1, "warmup.enabled": False}
    path = write(tmp_path / "s.yaml", fields, sweep={"sim.threads": [1, 2, 3]}, execution={"n_cycles": 1})
    running = llem.start("run", path, "-o", tmp_path / "results")
    results = tmp_path / "results"
    study = support.wait_until(lambda: list(results.glob("*/001_*/result.json")))[0].parent.parent
    support.wait_until(lambda: any('"measure"' in path.read_text() for path in study.glob(".exchange-*/progress.jsonl")))
    if way == "removed":
        support.wait_until(lambda: shutil.rmtree(study, ignore_errors=True) or not study.exists())  # it is written to meanwhile
    elif way == "renamed":
        study.rename(tmp_path / "results" / "other")
    else:
        (study / "journal.jsonl").unlink()
        (study / "study.json").unlink()
    out, err = running.communicate(timeout=60)
    assert running.returncode == 1, (out, err)
    assert "was moved or removed" in err and "Run 2 lost" in out and "Results:" not in err
    assert study.exists() == (way == "files removed")
    if way == "renamed":
        shown = llem.ok("show", tmp_path / "results" / "other")
        assert " ok" in shown or "tokens/s" in shown
