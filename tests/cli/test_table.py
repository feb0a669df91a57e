"""The table of a study: its order, its columns, and which of its runs may be compared."""

import json

import pytest

from studies import the_study, write

pytestmark = pytest.mark.timing

# Fast cells of unequal speed, and unequal work: two groups of two runs.
SWEEP = {"sim.token_us": [4000, 1000, 2000], "max_output_tokens": [4, 8]}


def rows(text):
    """The table as dicts by heading, and the notes."""
    table, _, notes = text.partition("\n\n")
    head, *lines = [line.split() for line in table.splitlines()]
    return [dict(zip(head, line, strict=False)) for line in lines], notes


@pytest.fixture
def swept(llem, tmp_path):
    path = write(tmp_path / "s.yaml", sweep=SWEEP, execution={"n_cycles": 1})
    fields = json.loads(path.read_text())
    del fields["max_output_tokens"]
    path.write_text(json.dumps(fields, indent=1))
    done = llem.run("run", path, "-o", tmp_path / "results", "-q")
    assert done.returncode == 0, done.stderr
    return done.stdout, the_study(tmp_path / "results").folder


def test_groups_are_ranked_apart(llem, swept):
    out, folder = swept
    table, notes = rows(llem.ok("show", folder, "--columns", "run,group,levels,tokens_per_s"))
    groups = [row["group"] for row in table]
    assert sorted(groups) == list("AAABBB") and groups in (list("AAABBB"), list("BBBAAA"))
    for group in "AB":
        mine = [row for row in table if row["group"] == group]
        assert len({row["max_output_tokens"] for row in mine}) == 1
        assert [row["token_us"] for row in mine] == ["1000.0", "2000.0", "4000.0"]  # modelled joules: by tokens/s
        rates = [float(row["tokens/s"]) for row in mine]
        assert rates == sorted(rates, reverse=True)
    ours = {row["#"]: row["max_output_tokens"] for row in table}
    first = ", ".join(sorted(run for run, out in ours.items() if out == ours["1"]))
    assert f"Unequal work: token ids in, tokens out or tokens computed differ between runs {first} / " in notes
    assert "cancel" not in notes and "nothing to compare rows by" in notes


def test_the_table_of_a_run_and_of_show_are_one(llem, swept):
    out, folder = swept
    assert out == llem.ok("show", folder)
    assert [row["#"] for row in rows(llem.ok("show", folder, "--sort", "run"))[0]] == list("123456")


def test_a_column_can_be_any_figure(llem, swept):
    table, _ = rows(llem.ok("show", swept[1], "--columns", "run,window_s", "--sort", "window_s"))
    longest = [float(row["window_s"]) for row in table]
    assert longest[:3] == sorted(longest[:3]) and longest[3:] == sorted(longest[3:])


@pytest.mark.parametrize("arguments, said", [
    (["--columns", "run,tokens_pers_s"], "--columns: no column 'tokens_pers_s': did you mean 'tokens_per_s'?"),
    (["--sort", "state"], "--sort: nothing is sorted by 'state'"),
    (["--sort", "nosuchthing"], "j_token, and what 'llem result metrics' lists"),
])
def test_wrong_columns_are_told_before_anything_runs(llem, tmp_path, arguments, said):
    path = write(tmp_path / "s.yaml")
    for command in (["run", path, "-o", tmp_path / "results"], ["show", tmp_path]):
        done = llem.run(*command, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
    assert not (tmp_path / "results").exists()


def test_joules_of_a_sensor_are_sorted_on(llem, build_dir, tmp_path):
    script = tmp_path / "boards.json"
    script.write_text(json.dumps({"devices": [{"load": [{"type": "constant", "watts": 200}]}]}))
    env = {"LLEM_NVML_LIBRARY": str(build_dir / "lib" / "libllem-nvml-sim.so"), "LLEM_NVML_SIM": str(script)}
    fields = {"sim.device": "gpu", "max_output_tokens": 24, "n": 1, "energy.modelled": False, "energy.max_repeats": 1,
              "warmup.enabled": False}
    path = write(tmp_path / "s.yaml", fields, sweep={"sim.token_us": [43000, 11000]}, execution={"n_cycles": 1})
    done = llem.run("run", path, "-o", tmp_path / "results", "-q", env=env, timeout=150)
    assert done.returncode == 0, done.stderr
    table, notes = rows(done.stdout)
    assert [row["token_us"] for row in table] == ["11000.0", "43000.0"]
    assert "Unequal work" not in notes and "do not compare" not in notes
    worst, _ = rows(llem.ok("show", the_study(tmp_path / "results").folder, "--columns", "levels,j_token"))
    assert [row["token_us"] for row in worst] == ["11000.0", "43000.0"]


def test_one_reason_of_many_runs_is_told_once(llem, tmp_path):
    fields = {"sim.fail": "load_error", "warmup.enabled": False}
    path = write(tmp_path / "s.yaml", fields, sweep={"sim.threads": [1, 2, 3, 4]}, execution={"n_cycles": 1})
    done = llem.run("run", path, "-o", tmp_path / "results")
    assert done.returncode == 1
    assert [line for line in done.stdout.splitlines() if line.startswith("Run")] == [
        line for line in done.stdout.splitlines() if line.startswith("Runs 1–4 failed: ")]
