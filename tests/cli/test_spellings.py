"""What people write and where: numbers, texts from shells, names and paths, signs nobody sees, other languages."""

import json
import os
import subprocess

import ggufs
import pytest
from studies import check_records, the_study, write

import support

LOCALES = support.ROOT / "build" / "locales"
SIM = {"backend": "sim", "n": 2, "max_output_tokens": 3, "energy.modelled": True}


@pytest.fixture
def said(llem, tmp_path):
    """said(text, *words): what `llem config check` says of this file, and its exit code."""

    def go(text, *words, **options):
        path = tmp_path / "s.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        done = llem.run("config", "check", path, *words, **options)
        return done.returncode, done.stdout + done.stderr

    return go


def value_of(llem, name, *words, **options):
    """What `config show` says of a field; its value is JSON, its origin stands behind a '#'."""
    path = write(llem.folder / "v.yaml", SIM)
    line = next(x for x in llem.ok("config", "show", path, *words, **options).splitlines() if x.split()[0] == name)
    return json.loads(line.removeprefix(name).rpartition("  # ")[0])


# --- Languages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["de_DE.UTF-8", "tr_TR.UTF-8", "C"])
def test_numbers_are_written_the_same_in_every_language(llem, tmp_path, language):
    llem.env |= {"LC_ALL": language, "LOCPATH": str(LOCALES)}
    assert language == "C" or (LOCALES / language).is_dir(), "tools/setup.sh test makes it"
    path = write(tmp_path / "s.yaml", {**SIM, "decoder.temperature": 0.5, "sim.jitter": 0.25}, execution={"n_cycles": 1})
    shown = llem.ok("run", path, "-o", tmp_path / "results")
    row = next(line for line in shown.splitlines() if line.startswith("1 "))
    assert "," not in row.replace(", ", "") and "[0, 0]" not in row and "." in row, row
    study = the_study(tmp_path / "results")
    check_records(llem, study)
    assert study.result()["config"]["decoder"]["temperature"] == 0.5
    assert value_of(llem, "decoder.temperature", "decoder.temperature=0.5") == 0.5


def test_no_message_is_half_in_another_language(llem, tmp_path):
    said = {llem.run("config", "check", tmp_path / "none.yaml", env={"LC_ALL": name, "LOCPATH": str(LOCALES)}).stderr
            for name in ("C", "de_DE.UTF-8", "tr_TR.UTF-8")}  # fmt: skip
    assert len(said) == 1 and "No such file" in said.pop()


def test_hashes_are_the_same_in_every_language(llem, tmp_path):
    path = write(tmp_path / "s.yaml", {**SIM, "decoder.temperature": 0.5, "sim.jitter": 0.25})
    said = {llem.ok("config", "check", path, env={"LC_ALL": name, "LOCPATH": str(LOCALES)})
            for name in ("C", "de_DE.UTF-8", "tr_TR.UTF-8")}  # fmt: skip
    assert len(said) == 1


# --- Numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "value"), [("12", 12), ("+12", 12), ("0xc", 12), ("0o14", 12), ("12.0", 12), ("1.2e1", 12)])
def test_spellings_of_an_integer(llem, text, value):
    assert value_of(llem, "n", f"n={text}") == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.25", 0.25), (".25", 0.25), ("2.5e-1", 0.25), ("+0.25", 0.25), ("1", 1), ("0x1", 1), ("5e-324", 5e-324), ("0e9", 0)],
)
def test_spellings_of_a_number(llem, text, value):
    assert value_of(llem, "decoder.temperature", f"decoder.temperature={text}") == value


@pytest.mark.parametrize(
    ("text", "word"),
    [("0x1p-2", "in decimal"), ("1e-400", "nearer to 0"), ("-1e-400", "nearer to 0"), ("1e400", "further from 0"), ("0,5", "a point"),
     ("1_0", "expected a number"), (".inf", "expected a number"), ("nan", "expected a number")],
)  # fmt: skip
def test_what_is_no_number_says_why(said, text, word):
    code, words = said(f"model: m\nbackend: sim\ndecoder:\n  temperature: {text}\n")
    assert code == 2 and word in words and "s.yaml:4:16: error: decoder.temperature" in words, words


# --- Texts from shells and variables -----------------------------------------------------------------------------------

TEXTS = ["out #1", '"q"', " x ", "@x", "*x", "&x", "!x", "%x", "a: b", "x:", "null", "true", "0x10", "[a]", "{a}", "- x", "| x", "it's",
         "a\nb", "a=b", "$HOME", "ü 模型"]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_taken_as_it_is(llem, text):
    assert value_of(llem, "output_dir", f"output_dir={text}") == text
    assert value_of(llem, "output_dir", env={"LLEM_OUTPUT_DIR": text}) == text


def test_results_are_where_the_variable_says(llem, tmp_path):
    path = write(tmp_path / "s.yaml", SIM, execution={"n_cycles": 1})
    llem.ok("run", path, env={"LLEM_OUTPUT_DIR": "out #1"})
    assert the_study(llem.folder / "out #1").states() == ["ok"]


@pytest.mark.parametrize(("text", "below"), [("~", ""), ("~/a b", "a b"), ("~/.x", ".x")])
def test_home(llem, text, below):
    home = llem.env["HOME"]
    for words, env in (((f"output_dir={text}",), {}), ((), {"LLEM_OUTPUT_DIR": text})):
        assert value_of(llem, "output_dir", *words, env=env).rstrip("/") == os.path.join(home, below).rstrip("/")


def test_the_home_of_another_is_refused(said):
    code, words = said("model: m\nbackend: sim\noutput_dir: ~bob/results\n")
    assert code == 2 and "write the folder that ~bob stands for" in words


def test_a_section_and_a_sweep_as_one_word(llem, said, tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("model: m\nbackend: sim\nsweep: {n: [1, 2], max_output_tokens: [3, 4]}\n")
    cells = {words: llem.ok("config", "check", path, *words).split(":")[1].split()[0]
             for words in [(), ("sweep={}",), ("sweep={n: [1, 2, 3]}",), ("decoder={temperature: 0.5}",), ("sweep={}", "n=2")]}  # fmt: skip
    assert list(cells.values()) == ["4", "1", "3", "4", "1"]
    assert value_of(llem, "decoder.temperature", "decoder={temperature: 0.5, top_k: 3}") == 0.5
    for words, reason in {"sweep=3": "expected a mapping of fields to lists", "decoder=3": "expected a mapping of fields",
                          "decoder={tempe: 1}": "unknown field 'decoder.tempe'"}.items():  # fmt: skip
        code, text = said("model: m\nbackend: sim\n", words)
        assert code == 2 and reason in text, text


# --- Names and paths ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["noext", "UP.GGUF"])
def test_what_is_no_path_is_a_name_whatever_lies_there(llem, tmp_path, name):
    """Otherwise it would be loaded by its place and hashed by its name."""
    ggufs.write(tmp_path / name, *ggufs.llama())
    path = write(tmp_path / "s.yaml", {"backend": "llamacpp", "model": name})
    done = llem.run("config", "check", path, cwd=tmp_path)
    assert done.returncode == 2 and f"write ./{name}" in done.stderr, done.stderr
    path = write(tmp_path / "s.yaml", {"backend": "llamacpp", "model": f"./{name}"})
    assert llem.run("config", "check", path, cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("name", "folder"),
    [("模型", "模型"), ("-x", "x"), (".x", "x"), ("über", "über"), (" #1", "1"), ("a b", "a-b"), ("नमस्ते", "नमस्ते"), ("---", "study"),
     ("a\nb", "a-b"), ("x" * 100, "x" * 64), ("模" * 40, "模" * 21)],
)  # fmt: skip
def test_the_name_of_a_folder(llem, tmp_path, name, folder):
    path = write(tmp_path / "s.yaml", SIM, execution={"n_cycles": 1})
    llem.ok("run", path, f"name={name}", "-o", tmp_path / "results")
    [made] = [p for p in (tmp_path / "results").iterdir() if p.is_dir()]
    assert made.name.rpartition("_")[0] == folder
    assert json.loads((made / "study.json").read_text())["name"] == name


@pytest.mark.parametrize("words", [("run", "--"), ("plan", "--"), ("config", "check", "--"), ("config", "show", "--")])
def test_dashes_end_the_options(llem, words):
    write(llem.folder / "-s.yaml", SIM)
    llem.ok(*words, "-s.yaml")


def test_dashes_end_the_options_of_other_commands(llem):
    for words in (("show",), ("result", "show"), ("engine", "schema"), ("engine", "check"), ("config", "fields")):
        done = llem.run(*words, "--", "-no")
        assert done.returncode != 0 and "unknown option" not in done.stderr and "-no" in done.stderr, (words, done.stderr)


# --- Did you mean ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "meant"),
    [(("rnu",), "llem run"), (("config", "chek"), "check"),
     (("run", "s.yaml", "--quite"), "--quiet"), (("engine", "check", "vlm"), "vllm"),
     (("engine", "schema", "vlm"), "vllm"),
     (("model", "pull", "smollm"), "smollm2-135m-instruct"),
     (("config", "fields", "decodr"), "decoder")],
)  # fmt: skip
def test_did_you_mean(llem, words, meant):
    write(llem.folder / "s.yaml", SIM)
    done = llem.run(*words)
    assert done.returncode == 2 and "did you mean" in done.stderr and meant in done.stderr.partition("did you mean")[2]


def test_yes_and_no_are_switches_where_off_and_on_are(llem, tmp_path):
    for text, value in {"no": "off", "yes": "on", "false": "off", "true": "on", "auto": "auto"}.items():
        (tmp_path / "s.yaml").write_text(f"model: m\nbackend: llamacpp\nllamacpp: {{flash_attn: {text}}}\n")
        shown = llem.run("config", "show", tmp_path / "s.yaml").stdout
        assert f'"{value}"' in next(x for x in shown.splitlines() if x.startswith("llamacpp.flash_attn")), text


# --- What nobody sees --------------------------------------------------------------------------------------------------

EVIL = "\x1b[2J\x1b]0;x\x07\u009b31m\u202e\u200b"
RAW = ["\x1b", "\x07", "\u009b", "\u202e", "\u200b", "\r"]


def test_nothing_foreign_reaches_a_terminal(llem, tmp_path):
    text = json.dumps(EVIL)
    files = {
        "name": f"model: x\nbackend: sim\nname: {text}\nn: 2\nmax_output_tokens: 3\n",
        "key": f"model: x\nbackend: sim\n{text}: 1\n",
        "value": f"model: x\nbackend: {text}\n",
        "path": f"model: {json.dumps('/' + EVIL)}\nbackend: llamacpp\n",
        "level": f"model: x\nbackend: sim\nsweep: {{sim.attention: [{text}]}}\n",
        "raw": f"model: x\nbackend: sim\nname: '{EVIL}'\n",
    }
    for name, content in files.items():
        (tmp_path / f"{name}.yaml").write_bytes(content.encode())
        for words in (["config", "check"], ["config", "show"], ["plan"], ["run", "-o", tmp_path / "results"]):
            done = llem.run(*words, tmp_path / f"{name}.yaml")
            check_clean(done, (name, words))
    llem.ok("run", tmp_path / "name.yaml", "-o", tmp_path / "named")
    for words in (["show", tmp_path / "results"], ["show", "--json", tmp_path / "results"], ["show", EVIL], [EVIL], ["config", EVIL],
                  ["run", EVIL], ["run", tmp_path / "name.yaml", EVIL], ["engine", "check", EVIL], ["model", "pull", EVIL]):  # fmt: skip
        check_clean(llem.run(*words), words)
    [named] = (tmp_path / "named").iterdir()
    assert json.loads((named / "study.json").read_text())["name"] == EVIL
    shown = llem.ok("show", named)
    check_clean(llem.run("show", named, "--json"), "json")
    assert "\\u001b[2J" in llem.ok("config", "check", tmp_path / "name.yaml") and "\x1b" not in shown


def check_clean(done, what):
    for text in (done.stdout, done.stderr):
        assert not [hex(ord(c)) for c in RAW if c in text], (what, text)


def test_a_terminal_gets_the_colours_that_are_ours(llem, tmp_path):
    (tmp_path / "s.yaml").write_text(f"model: x\nbackend: sim\n{json.dumps(EVIL)}: 1\n")
    script = f"{llem.program} config check {tmp_path}/s.yaml"
    env = {k: v for k, v in llem.env.items() if k != "NO_COLOR"} | {"TERM": "xterm"}
    shown = subprocess.run(["script", "-qec", script, "/dev/null"], capture_output=True, text=True, env=env, timeout=60).stdout
    assert "\x1b[1;31merror:\x1b[0m" in shown
    assert "\x1b[2J" not in shown and "\\u001b[2J" in shown


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [("random_seed\u00a0: 3", "s.yaml:3:12", "U+00A0"), ("\u200bn: 3", "s.yaml:3:1", "U+200B"),
     ("n: 3\u200b", "s.yaml:3:4", "U+200B in column 5"),
     ("n: \ufeff3", "s.yaml:3:4", "U+FEFF in column 4")],
)  # fmt: skip
def test_what_nobody_sees_is_named_with_its_column(said, text, place, word):
    code, words = said(f"model: m\nbackend: sim\n{text}\n")
    assert code == 2 and place in words and word in words, words


# --- Shared blocks -----------------------------------------------------------------------------------------------------


def test_shared_blocks(llem, said, tmp_path):
    (tmp_path / "s.yaml").write_text("x-sampling: &s {temperature: 0.5, top_k: 7}\nmodel: m\nbackend: sim\ndecoder: {<<: *s, top_k: 8}\n")
    shown = {x.split()[0]: x.split()[1] for x in llem.ok("config", "show", tmp_path / "s.yaml").splitlines() if x.startswith("decoder.")}
    assert (shown["decoder.temperature"], shown["decoder.top_k"]) == ("0.5", "8")
    for text, word in {"common: &c {temperature: 0.5}\n": "x-common", 'decoder: {"<<": 3}\n': "write <<: without quotes",
                       "decoder: {x-c: 3}\n": "unknown field 'decoder.x-c'"}.items():  # fmt: skip
        code, words = said(f"model: m\nbackend: sim\n{text}")
        assert code == 2 and word in words, words
    code, words = said("model: m\nbackend: sim\ndecoder: &d {<<: *d}\n")
    assert code == 2 and words.count("error:") == 1, words


# --- Kinds of files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["model", "dataset"])
@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
def test_what_is_no_file_is_said_at_once(llem, tmp_path, field, kind):
    import socket

    path = tmp_path / ("x.gguf" if field == "model" else "x.jsonl")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
    study = write(tmp_path / "s.yaml", {"backend": "llamacpp", "model": "smollm2-135m-instruct", field: f"./{path.name}"})
    done = llem.run("config", "check", study, timeout=20)
    assert done.returncode == 2 and f"is a {kind}, not a file" in done.stderr and "s.yaml:" in done.stderr, done.stderr
