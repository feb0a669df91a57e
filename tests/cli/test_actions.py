"""Commands, actions and options are rows: what is wrong with a command line is said with its place and what to do."""

import json
import re

import pytest
from studies import write

TREE = {  # command → its actions; None: one without a name
    "plan": None,
    "run": None,
    "show": None,
    "doctor": None,
    "config": ["check", "show", "fields", "schema", "reference"],
    "model": ["list", "pull"],
    "dataset": ["list", "show", "pull", "import"],
    "engine": ["list", "pull", "check", "schema", "reference"],
    "result": ["schema", "metrics", "reference"],
    "meter": ["list", "watch", "characterise", "selftest"],
}
CALLS = [(name, action) if action else (name,) for name, actions in TREE.items() for action in actions or [None]]


@pytest.fixture
def file(llem, tmp_path):
    write(tmp_path / "t.yaml")
    return "t.yaml"


def test_the_commands_are_these(llem):
    """The order is the help text's; what is not built is not listed."""
    described = json.loads(llem.ok("help", "--json"))["commands"]
    assert {c["name"]: [a.get("name") for a in c["actions"]] for c in described} == {
        name: actions or [None] for name, actions in TREE.items()
    }
    assert re.findall(r"^  (\S+) ", llem.ok("help"), re.M) == list(TREE)


def test_the_description_is_what_help_says(llem):
    """Completions and manual pages are made from it."""
    for command in json.loads(llem.ok("help", "--json"))["commands"]:
        assert command["summary"]
        for action in command["actions"]:
            text = llem.ok("help", command["name"], *filter(None, [action.get("name")]))
            assert action["summary"] in text and action["arguments"] in text
            for option in action["options"]:
                assert f"--{option['name']}" in text and option["help"] in text
                assert ("value" in option) == (f"--{option['name']}=" in text)


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_every_action_explains_itself(llem, call):
    text = llem.ok("help", *call)
    assert text == llem.ok(*call, "--help") == llem.ok(*call, "-h")
    assert text.startswith(f"Usage:\n  llem {' '.join(call)}")
    assert "--help" in text


@pytest.mark.parametrize("name", [name for name, actions in TREE.items() if actions])
def test_a_group_needs_an_action(llem, name):
    """`llem meter` alone is an earlier spelling."""
    done = llem.run(name)
    if name != "meter":
        assert (done.returncode, done.stdout) == (2, "")
        assert f"llem {name}: which action?\nActions: {', '.join(TREE[name])}\n" in done.stderr
    wrong = llem.run(name, "lisst")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert f"llem {name}: no action 'lisst'" in wrong.stderr


# --- Five wrong inputs for every action: an argument too few, too many, an unknown option, another's, a file that is not --

MISSING = {
    ("plan",): "FILE is missing: name an experiment or study file",
    ("run",): "FILE is missing: name an experiment or study file",
    ("show",): "which folder? The one that 'llem run' named at its end",
    ("config", "check"): "FILE is missing",
    ("config", "show"): "FILE is missing",
    ("model", "pull"): "which model? 'llem model list' shows them",
    ("dataset", "show"): "which data set? 'llem dataset list' shows them",
    ("dataset", "pull"): "which data set? 'llem dataset list' shows them",
    ("dataset", "import"): "FILE is missing: name a JSONL, CSV or Parquet file",
    ("engine", "pull"): "of which engine? 'llem engine list' shows them",
    ("engine", "schema"): "which engine? 'llem engine list' shows those that are here",
    ("engine", "check"): "which program? Name a backend ('llem engine list'), or the path of an adapter",
}
MOST = {("show",): 1, ("config", "fields"): 1, ("model", "pull"): 1, ("engine", "pull"): 1,
        ("dataset", "show"): 1, ("dataset", "pull"): 1, ("dataset", "import"): 1}
ANY = {("plan",), ("run",), ("doctor",), ("config", "check"), ("config", "show"), ("engine", "check"),
       ("engine", "schema")}
UNREADABLE = {
    ("plan",): (2, "nowhere.yaml"),
    ("run",): (2, "nowhere.yaml"),
    ("doctor",): (2, "nowhere.yaml"),
    ("show",): (1, "there is no folder nowhere.yaml"),
    ("config", "check"): (2, "nowhere.yaml"),
    ("config", "show"): (2, "nowhere.yaml"),
    ("config", "fields"): (2, "no field or section 'nowhere.yaml'; 'llem config fields' lists them all"),
    ("model", "pull"): (2, "'nowhere.yaml' is not in the catalogue"),
    ("dataset", "show"): (2, "unknown data set 'nowhere.yaml'"),
    ("dataset", "pull"): (2, "no data set has the name 'nowhere.yaml'"),
    ("dataset", "import"): (1, "nowhere.yaml"),
    ("engine", "pull"): (2, "no backend is called 'nowhere.yaml'"),
    ("engine", "schema"): (2, "no backend is called 'nowhere.yaml'"),
    ("engine", "check"): (2, "'nowhere.yaml' is neither a backend"),
}


def wrong(llem, *arguments, code=2):
    done = llem.run(*arguments)
    assert (done.returncode, done.stdout) == (code, ""), arguments
    assert len(done.stderr.splitlines()) <= 6
    return done.stderr


@pytest.mark.parametrize("call", MISSING, ids=" ".join)
def test_missing_argument(llem, call):
    said = wrong(llem, *call)
    assert said.startswith(f"llem {' '.join(call)}: {MISSING[call]}\nUsage: llem {' '.join(call)} ")
    assert said.endswith(f"Try 'llem help {' '.join(call)}'.\n")


@pytest.mark.parametrize("call", [call for call in CALLS if call not in ANY], ids=" ".join)
def test_too_many_arguments(llem, call):
    said = wrong(llem, *call, *["one"] * MOST.get(call, 0), "more")
    assert f"llem {' '.join(call)}: too many arguments: 'more'\nUsage: llem " in said


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_unknown_option(llem, call):
    assert f"llem {' '.join(call)}: unknown option --bogus\n" in wrong(llem, *call, "--bogus")
    assert f"llem {' '.join(call)}: unknown option -9\n" in wrong(llem, *call, "-9")


@pytest.mark.parametrize("call", UNREADABLE, ids=" ".join)
def test_what_is_not_there(llem, call):
    code, words = UNREADABLE[call]
    assert words in wrong(llem, *call, "nowhere.yaml", code=code)


@pytest.mark.parametrize("arguments, said", [
    (["rnu", "t.yaml"], "llem: no command 'rnu'; did you mean 'llem run'?"),
    (["t.yaml"], "llem: no command 't.yaml'; did you mean 'llem run t.yaml'?"),
    (["results"], "llem: no command 'results'; did you mean 'llem show results'?"),
    (["check", "t.yaml"], "llem: no command 'check'; did you mean 'llem config check' or 'llem engine check'?"),
    (["config", "chek", "t.yaml"], "llem config: no action 'chek'; did you mean 'check'?"),
    (["plan", "t.yaml", "--jsn"], "llem plan: unknown option --jsn; did you mean --json?"),
    (["run", "t.yaml", "--cylces", "2"], "llem run: unknown option --cylces; did you mean --cycles?"),
    (["run", "t.yaml", "--max_output_tokens=3"],
     "unknown option --max_output_tokens; a field is written without dashes: max_output_tokens=VALUE"),
    (["config", "check", "t.yaml", "--json"], "llem config check: --json is an option of 'llem config show'"),
    (["meter", "watch", "--selftest"], "--selftest is an action of its own: 'llem meter selftest'"),
    (["run", "t.yaml", "-o"], "llem run: -o needs a value, DIR: Folder for results"),
    (["run", "t.yaml", "--cycles"], "llem run: --cycles needs a value, N: How often every cell runs"),
    (["run", "t.yaml", "-qo"], "llem run: -qo needs a value, DIR"),
    (["run", "t.yaml", "-c2"], "llem run: -c needs its value apart: -c 2"),
    (["run", "t.yaml", "-qx"], "llem run: unknown option -x"),
    (["run", "t.yaml", "--cycles", "often"], "command line 'execution.n_cycles=often'"),
    (["meter", "watch", "-n", "few"], "few"),
    (["engine", "check", "-m"], "llem engine check: -m needs a value, PATH"),
])
def test_what_is_wrong_and_what_was_meant(llem, tmp_path, file, arguments, said):
    (tmp_path / "results").mkdir()
    assert said in wrong(llem, *arguments)


def test_options_may_stand_anywhere(llem, file):
    assert llem.ok("plan", "--cycles=2", file) == llem.ok("plan", "-c", "2", file) == llem.ok("plan", file, "--cycles", "2")
    assert llem.ok("config", "--json", "show", file) == llem.ok("config", "show", file, "--json")
    assert llem.ok("plan", "--", file) == llem.ok("plan", file)
    assert "--bogus" in llem.run("plan", "--", "--bogus").stderr
    assert "unknown option" not in llem.run("plan", "--", "--bogus").stderr


# --- What is written where something else belongs --------------------------------------------------------------------------

NO_FILE = "FILE is empty: name an experiment or study file"


@pytest.mark.parametrize("words, said", [
    (["plan", ""], f"llem plan: {NO_FILE}"),
    (["config", "check", ""], f"llem config check: {NO_FILE}"),
    (["run", "."], "llem run: . is a folder: name an experiment or study file"),
    (["run", "t.yaml", "u.yaml"], "name one file; what follows it are fields with their values, as in  n=8"),
    (["run", "t.yaml", "--n=3"], "llem run: unknown option --n; a field is written without dashes: n=VALUE"),
    (["run", "t.yaml", "-o", ""], "llem run: -o needs a folder name"),
    (["doctor", "-o", ""], "llem doctor: -o needs a folder name"),
    (["run", "t.yaml", "--columns", ""], "llem run: --columns: no column ''; there are: run, "),
    (["meter", "watch", "-n", "0"], "llem meter watch: -n 0: a whole number above 0 is wanted"),
    (["meter", "watch", "--count=two"], "llem meter watch: --count two: a whole number above 0 is wanted"),
    (["meter", "list", "--pid", "99999999999"], "llem meter list: --pid 99999999999: a whole number above 0 is wanted"),
    (["meter", "list", "--low-watts", "nan"], "llem meter list: --low-watts nan: a number above 0 is wanted"),
    (["meter", "list", "--high-watts=0"], "llem meter list: --high-watts 0: a number above 0 is wanted"),
    (["engine", "check", "sim", "-t", "0x10"], "llem engine check: -t 0x10: a whole number above 0 is wanted"),
    (["result", "schema", "--error", "--exchange"], "--error, --exchange and --host exclude each other: give one of them"),
    (["config", "fields", "n_gpu_layers"], "no field or section 'n_gpu_layers'; did you mean 'llamacpp.n_gpu_layers'?"),
    (["help", "--jsn"], "llem: unknown option '--jsn'\nUsage: llem help [--json | COMMAND [ACTION]]"),
    (["help", "run", "more"], "llem: too many arguments: 'more'\nUsage: llem help"),
    (["help", "meter", "list", "more"], "llem: too many arguments: 'more'\nUsage: llem help"),
    (["--version", "more"], "llem: too many arguments: 'more'\nUsage: llem --version"),
])
def test_wrong_words(llem, file, words, said):
    assert said in wrong(llem, *words)


@pytest.mark.parametrize("command", ["plan", "run", "doctor"])
def test_a_folder_of_results_is_no_file(llem, file, tmp_path, command):
    llem.ok("run", file, "-o", "out")
    study = next((tmp_path / "out").iterdir())
    for folder in (study, next(path for path in study.iterdir() if path.is_dir())):
        shown = folder.relative_to(tmp_path)
        said = f"llem {command}: {shown} is a folder of results, no experiment or study file; 'llem show {shown}' prints it\n"
        assert wrong(llem, command, shown) == said


# --- Earlier spellings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("old, new", [
    (["run", "t.yaml", "--dry-run"], ["plan", "t.yaml"]),
    (["run", "--dry-run", "-q", "t.yaml", "-c", "2", "n=3"], ["plan", "t.yaml", "--cycles", "2", "n=3"]),
    (["run", "t.yaml", "--dry-run", "n=x"], ["plan", "t.yaml", "n=x"]),
    (["result", "show", "."], ["show", "."]),
    (["result", "show"], ["show"]),
    (["result", "error-schema"], ["result", "schema", "--error"]),
    (["help", "show"], ["help", "show"]),
    (["meter", "--json", "-s", "modelled"], ["meter", "list", "-s", "modelled", "--json"]),
    (["meter"], ["meter", "list"]),
    (["meter", "-s", "hwmon", "--watch", "--sysroot", "."], ["meter", "watch", "-s", "hwmon", "--sysroot", "."]),
    (["meter", "-w", "-s", "hwmon", "--sysroot", "."], ["meter", "watch", "-s", "hwmon", "--sysroot", "."]),
    (["meter", "--characterise", "--sysroot", "."], ["meter", "characterise", "--sysroot", "."]),
    (["meter", "--selftest", "-s", "hwmon", "--sysroot", "."], ["meter", "selftest", "-s", "hwmon", "--sysroot", "."]),
])
def test_earlier_spellings_work(llem, file, old, new):
    llem.env["LLEM_NVML_LIBRARY"] = "/nowhere/libnvidia-ml.so.1"
    was, now = llem.run(*old), llem.run(*new)
    assert (was.returncode, was.stdout, was.stderr) == (now.returncode, now.stdout, now.stderr)
    text = llem.ok("help") + llem.ok("help", "run") + llem.ok("help", "result") + llem.ok("help", "meter")
    assert not re.search(r"dry-run|error-schema|--watch|--characterise|--selftest|result show", text)


# --- plan -------------------------------------------------------------------------------------------------------------------


def test_plan_as_json(llem, tmp_path):
    path = write(tmp_path / "t.yaml", sweep={"sim.threads": [1, 2]}, execution={"n_cycles": 2})
    tree = json.loads(llem.ok("plan", path, "--json"))
    text = llem.ok("plan", path)
    assert tree["name"] == "t" and tree["cycles"] == 2 and tree["order"] == "shuffled"
    assert [c["levels"] for c in tree["cells"]] == [{"sim.threads": 1}, {"sim.threads": 2}]
    assert all(c["config_hash"] in text for c in tree["cells"]) and tree["study_hash"] in text
    assert sorted((r["cell"], r["cycle"]) for r in tree["runs"]) == [(0, 1), (0, 2), (1, 1), (1, 2)]
