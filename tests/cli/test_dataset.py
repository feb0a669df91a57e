"""`llem dataset` and the data sets that have a name."""

import csv
import hashlib
import http.server
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jsonschema
import pytest

from studies import write

ROOT = Path(__file__).resolve().parents[2]
MIX = ROOT / "data" / "llem-mix.jsonl"


def test_llem_mix_is_what_its_generator_writes():
    made = subprocess.run([sys.executable, ROOT / "tools" / "llem_mix.py"], capture_output=True, check=True).stdout
    assert made == MIX.read_bytes(), "write it with: tools/llem_mix.py > data/llem-mix.jsonl"


def test_llem_mix_is_as_its_page_says():
    rows = [json.loads(line) for line in MIX.read_text().splitlines()][1:]
    texts = [row["prompt"] for row in rows]
    assert len(texts) == len(set(texts)) == 1000
    assert not [text for text in texts if re.search(r"\n\n\d|½", text)]  # tokenizers do not agree on these
    kinds = [row["source"] for row in rows]
    assert {kind: kinds.count(kind) for kind in kinds} == dict.fromkeys(kinds, 100)
    lengths = sorted(map(len, texts))
    table = [line.split(" | ") for line in (ROOT / "docs" / "datasets.md").read_text().splitlines() if line.startswith("| ")][1:]
    shares = {"shortest": 0, "longest": 1} | {row[0][2:]: float(row[0][2:-2]) / 100 for row in table if row[0].endswith("%")}
    for row in table[:-1]:
        ours = lengths[round(shares[row[0].removeprefix("| ")] * 999)]
        assert f"{ours:,}" == row[2], row
        assert 0.85 < ours / int(row[1].replace(",", "")) < 1.15, row


# --- Data sets that are pinned and fetched: one of the tests' own ---------------------------------------------------------

PROMPTS = ["Zähle bis drei.", 'She said "yes", twice.', "two\nlines", "one, two, three"]
LINES = "".join(json.dumps({"text": p, "other": 1}) + "\n" for p in PROMPTS)
SHA256 = hashlib.sha256(json.dumps(PROMPTS, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


@pytest.fixture
def home():
    """A web server on this machine: its files by path, and the requests it had."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append(self.path)
            body = server.files.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.asked = {"/set/resolve/r1/data.jsonl": LINES.encode()}, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def pinned(llem, home, tmp_path):
    """llem with the data set `few`, pinned to PROMPTS at that server, and nothing fetched."""
    data = tmp_path / "data"
    shutil.copytree(ROOT / "data", data)
    row = {"name": "few", "summary": "a few", "licence": "MIT", "home": f"http://127.0.0.1:{home.server_port}/set", "revision": "r1",
           "path": "data.jsonl", "count": len(PROMPTS), "prompts_sha256": SHA256}
    names = json.loads((data / "datasets.json").read_text())
    names["datasets"].append(row)
    (data / "datasets.json").write_text(json.dumps(names))
    llem.env |= {"LLEM_DATA_DIR": str(data), "LLEM_DATASETS_DIR": str(tmp_path / "sets"), "no_proxy": "*", "LLEM_PYTHON": sys.executable}
    return llem


def study(tmp_path, **fields):
    return write(tmp_path / "few.yaml", dataset="few", n=2, **fields)


def test_pull_brings_and_verifies(pinned, home):
    path = Path(pinned.ok("dataset", "pull", "few").strip())
    assert [json.loads(line).get("prompt") for line in path.read_text().splitlines()] == [None, *PROMPTS]
    assert pinned.ok("dataset", "pull", "few").strip() == str(path) and len(home.asked) == 1
    assert SHA256 in pinned.ok("dataset", "show", "few")
    assert {row["name"]: row["present"] for row in json.loads(pinned.ok("dataset", "list", "--json"))}["few"]


def test_a_file_that_is_not_the_pinned_one_is_not_kept(pinned, home):
    home.files["/set/resolve/r1/data.jsonl"] = LINES.replace("three", "four").encode()
    done = pinned.run("dataset", "pull", "few")
    assert done.returncode == 1 and SHA256[:12] in done.stderr and "is not few" in done.stderr
    assert "llem dataset import FILE" in done.stderr
    assert not any(row["present"] for row in json.loads(pinned.ok("dataset", "list", "--json")) if row["name"] == "few")


def test_pull_mends_a_file_that_is_not_the_pinned_one(pinned, home):
    path = Path(pinned.ok("dataset", "pull", "few").strip())
    whole = path.read_text()
    path.write_text('{"prompt": "another"}\n')
    assert pinned.ok("dataset", "pull", "few").strip() == str(path) and len(home.asked) == 2
    assert path.read_text() == whole


def test_a_shipped_data_set_that_is_missing_is_an_error(pinned, tmp_path):
    (tmp_path / "data" / "llem-mix.jsonl").unlink()
    for command in ("pull", "show"):
        done = pinned.run("dataset", command, "llem-mix")
        assert (done.returncode, done.stdout) == (1, "") and "llem-mix.jsonl" in done.stderr, done.stderr


def csv_of(prompts):
    with io.StringIO(newline="") as out:
        csv.writer(out).writerows([["id", "text"], *enumerate(prompts)])
        return out.getvalue()


@pytest.mark.parametrize(("name", "text"), [("a.jsonl", LINES), ("a.csv", csv_of(PROMPTS))])
def test_import_takes_any_export_of_the_same_text(pinned, home, tmp_path, name, text):
    (tmp_path / name).write_text(text, newline="")
    path = Path(pinned.ok("dataset", "import", tmp_path / name).strip())
    assert [json.loads(line).get("prompt") for line in path.read_text().splitlines()] == [None, *PROMPTS]
    assert home.asked == []


def test_import_of_another_text_says_what_to_do(pinned, tmp_path):
    (tmp_path / "a.csv").write_text(csv_of(PROMPTS[:-1]), newline="")
    done = pinned.run("dataset", "import", tmp_path / "a.csv")
    assert done.returncode == 1 and "no data set of 'llem dataset list' is pinned to that" in done.stderr
    (tmp_path / "b.csv").write_text('text\n"open\n')
    done = pinned.run("dataset", "import", tmp_path / "b.csv")
    assert "b.csv:2:1: error: a quote that begins here is not closed" in done.stderr


@pytest.mark.parametrize("name, text", [("a.jsonl", "".join(json.dumps({"text": "other", "q": p}) + "\n" for p in PROMPTS)),
                                        ("a.csv", csv_of(PROMPTS).replace("id,text", "text,q"))])
def test_import_and_show_take_the_key_of_the_prompt(pinned, tmp_path, name, text):
    """As a study does: a file may have two members that could be it."""
    (tmp_path / name).write_text(text, newline="")
    assert SHA256 in pinned.ok("dataset", "show", tmp_path / name, "--prompt", "q")
    assert pinned.run("dataset", "import", tmp_path / name).returncode == 1
    path = Path(pinned.ok("dataset", "import", tmp_path / name, "--prompt", "q").strip())
    assert [json.loads(line).get("prompt") for line in path.read_text().splitlines()] == [None, *PROMPTS]
    assert pinned.run("dataset", "show", "few", "--prompt", "q").returncode == 2


def test_what_is_wrong_with_a_table_is_said_in_words_of_tables(llem, tmp_path):
    (tmp_path / "a.csv").write_text("answer\nyes\nno\n")
    said = llem.run("dataset", "show", tmp_path / "a.csv").stderr
    assert "a.csv has 2 rows that are no prompt" in said and "expected one of the columns prompt," in said, said
    assert "a row of names first" in said and "JSON" not in said and "member" not in said, said


@pytest.mark.parametrize("command", [("dataset", "pull", "few"), ("run",)], ids=["pull", "run"])
def test_a_signal_to_llem_alone_ends_fetching(pinned, home, tmp_path, command):
    """The server begins to answer and falls silent."""
    home.files["/set/resolve/r1/data.jsonl"] = b""
    silent, over = threading.Event(), threading.Event()

    def silence(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"{")
        handler.wfile.flush()
        silent.set()
        over.wait(60)

    home.RequestHandlerClass.do_GET = silence
    process = pinned.start(*command, *([study(tmp_path)] if command == ("run",) else []))
    try:
        assert silent.wait(30)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert time.monotonic() - began < 3
    finally:
        over.set()
    assert process.returncode == 128 + signal.SIGTERM and "interrupted" in err, err
    assert sorted(p.name for p in (tmp_path / "sets").iterdir()) == [".lock"]
    assert not pinned.left_running() and not (tmp_path / "results").exists()


def test_a_study_fetches_before_its_first_run(pinned, home, tmp_path):
    path = study(tmp_path)
    for command in (["plan"], ["config", "check"]):
        done = pinned.run(*command, path)
        assert done.returncode == 0 and "few is not here: llem run fetches and verifies it" in done.stderr
    assert "fetched from http://" in pinned.run("doctor", path).stdout
    before = json.loads(pinned.ok("plan", "--json", path))
    assert home.asked == []
    pinned.ok("run", path)
    assert home.asked == ["/set/resolve/r1/data.jsonl"]
    after = json.loads(pinned.ok("plan", "--json", path))
    assert before["cells"] == after["cells"]


@pytest.mark.parametrize("option", [[], ["--skip-preflight"]])
def test_without_a_network_a_study_names_both_commands(pinned, home, tmp_path, option):
    home.shutdown()
    home.server_close()
    done = pinned.run("run", *option, study(tmp_path))
    assert done.returncode == 1
    assert re.search(r"few.yaml:\d+:13: error: dataset: few: cannot bring the data set", done.stderr), done.stderr
    assert "Connection refused" in done.stderr and '"dataset": "few"' in done.stderr
    assert "llem dataset pull few" in done.stderr and "llem dataset import FILE" in done.stderr
    assert not (tmp_path / "results").exists()


def test_what_was_changed_on_disk_is_not_run(pinned, tmp_path):
    path = Path(pinned.ok("dataset", "pull", "few").strip())
    path.write_text(path.read_text().replace("three", "four"))
    done = pinned.run("run", study(tmp_path))
    assert done.returncode == 2 and f"{path} is not few" in done.stderr


def test_more_prompts_than_the_pin_says(pinned, tmp_path):
    done = pinned.run("plan", study(tmp_path), "n=5")
    assert done.returncode == 2 and "5 prompts asked for, the data set has 4" in done.stderr


def test_aienergyscore_is_a_name_and_no_file(llem, tmp_path):
    assert not list((ROOT / "data").glob("aienergyscore*"))
    llem.env["LLEM_DATASETS_DIR"] = str(tmp_path / "sets")
    (row,) = [row for row in json.loads(llem.ok("dataset", "list", "--json")) if row["name"] == "aienergyscore"]
    assert (row["count"], row["present"]) == (1000, False)
    assert row["revision"] == "2dc92b2ee2cd9776a51ccf08c6c2ab04138370c3"


@pytest.mark.skipif("LLEM_TEST_AIENERGYSCORE" not in os.environ, reason="needs:aienergyscore")
def test_the_real_aienergyscore(llem, tmp_path):
    llem.env["LLEM_DATASETS_DIR"] = str(tmp_path / "sets")
    llem.ok("dataset", "import", os.environ["LLEM_TEST_AIENERGYSCORE"])
    assert "1000 prompts" in llem.ok("dataset", "show", "aienergyscore")


# --- Which member is the prompt -------------------------------------------------------------------------------------------

ALPACA = "".join(json.dumps({"instruction": i, "input": "of " + i, "row": i}) + "\n" for i in ("one", "two", "three"))
TABLE = "row,instruction,input\n" + "".join(f'{i},{i},"of {i}"\n' for i in ("one", "two", "three"))


def digest(prompts):
    return hashlib.sha256(json.dumps(prompts, separators=(",", ":")).encode()).hexdigest()


@pytest.mark.parametrize(("name", "text", "line"), [("d.jsonl", ALPACA, 1), ("d.csv", TABLE, 2)])
def test_two_prompts_in_a_record_are_told_apart_by_the_study(llem, tmp_path, name, text, line):
    (tmp_path / name).write_text(text)
    done = llem.run("config", "check", write(tmp_path / "s.yaml", dataset=f"./{name}"))
    assert done.returncode == 2 and f"{name}:{line}:1: error: 'instruction' and 'input' could both be the prompt" in done.stderr
    assert "dataset: {path: FILE, prompt: instruction}" in done.stderr
    for key, words in (("input", ["of one", "of two", "of three"]), ("row", ["one", "two", "three"])):
        path = write(tmp_path / "s.yaml", dataset={"path": name, "prompt": key})
        (cell,) = json.loads(llem.ok("config", "show", "--json", path))
        assert cell["hashed"]["fields"]["dataset"]["prompts"] == digest(words)
    jsonschema.validate(json.loads(path.read_text()), json.loads(llem.ok("config", "schema")))
    llem.ok("run", "-o", tmp_path / "results", path)
    done = llem.run("config", "check", write(tmp_path / "s.yaml", dataset={"path": name, "prompt": "answer"}))
    assert done.returncode == 2 and f"no {'member' if line == 1 else 'column'} 'answer', which was named as the prompt" in done.stderr


@pytest.mark.parametrize("name", ["prompts.csv", "./PROMPTS.CSV", "d/prompts.csv"])
def test_a_name_that_ends_in_csv_is_a_table(llem, tmp_path, name):
    (tmp_path / "d").mkdir()
    (tmp_path / name).write_text("text\r\none\r\ntwo\r\n")
    (cell,) = json.loads(llem.ok("config", "show", "--json", write(tmp_path / "s.yaml", dataset=name)))
    assert cell["hashed"]["fields"]["dataset"]["prompts"] == digest(["one", "two"])


@pytest.mark.parametrize(("text", "said"), [
    (b"text\nab\0cd\n", "a NUL byte is in it"),
    (b"prompt,prompt\none,two\n", "two columns have the name 'prompt'"),
    (b"text\rone\rtwo\r", "end in a carriage return alone"),
])
def test_a_table_that_would_be_read_otherwise_is_refused(llem, tmp_path, text, said):
    (tmp_path / "t.csv").write_bytes(text)
    done = llem.run("config", "check", write(tmp_path / "s.yaml", dataset="t.csv"))
    assert done.returncode == 2 and "t.csv:1:1: error: " in done.stderr and said in done.stderr, done.stderr


def test_a_carriage_return_within_a_value_stays(llem, tmp_path):
    (tmp_path / "t.csv").write_bytes(b"text\na\rb\n")
    (cell,) = json.loads(llem.ok("config", "show", "--json", write(tmp_path / "s.yaml", dataset="t.csv")))
    assert cell["hashed"]["fields"]["dataset"]["prompts"] == digest(["a\rb"])


@pytest.mark.parametrize("key", ["a//b", "q/", "x/../y"])
def test_a_prompt_s_name_is_no_path(llem, tmp_path, key):
    (tmp_path / "d.jsonl").write_text(json.dumps({key: "one", "prompt": "two"}) + "\n")
    path = write(tmp_path / "s.yaml", dataset={"path": "d.jsonl", "prompt": key}, n=1)
    (cell,) = json.loads(llem.ok("config", "show", "--json", path))
    assert cell["hashed"]["fields"]["dataset"]["prompts"] == digest(["one"])


def test_a_folder_that_is_not_utf8_is_no_default(llem, tmp_path):
    folder = os.fsdecode(bytes(tmp_path) + b"/caf\xe9")
    os.mkdir(folder)
    Path(folder, "d.jsonl").write_text('{"a": "one", "b": "two"}\n')
    path = write(Path(folder, "s.yaml"), dataset={"path": "d.jsonl", "prompt": "a"}, n=1)
    done = llem.run("config", "check", path)
    assert done.returncode == 2 and "dataset: " in done.stderr and "is not UTF-8" in done.stderr, done.stderr


def test_the_mapping_of_a_data_set_says_what_it_holds(llem, tmp_path):
    for wrong in ({"path": "d.jsonl"}, {"path": "d.jsonl", "prompt": "a", "n": 3}, {}):
        done = llem.run("config", "check", write(tmp_path / "s.yaml", dataset=wrong))
        assert done.returncode == 2 and "a mapping here is {path: FILE, prompt: KEY}" in done.stderr
    done = llem.run("config", "check", write(tmp_path / "s.yaml", dataset={"path": "none.jsonl", "prompt": "a"}))
    assert done.returncode == 2 and f"cannot open {tmp_path}/none.jsonl" in done.stderr
