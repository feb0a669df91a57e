"""What the pytest tests share besides fixtures: running llem, finding what it left behind, golden texts."""

import contextlib
import json
import os
import signal
import subprocess
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
MARK = "LLEM_TEST_MARK"


class Process:
    """A process found in /proc."""

    def __init__(self, pid):
        self.pid = pid
        self.name = Path(f"/proc/{pid}/comm").read_text().strip()  # "llem-guard" has llem's command
        self.command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()

    def kill(self):
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def __str__(self):
        return f"{self.pid} ({self.command})"


def processes_marked(mark):
    """Every living process whose environment carries the mark, wherever it was re-parented to."""
    needle = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z" and needle in (folder / "environ").read_bytes().split(b"\0"):
                found.append(Process(int(folder.name)))
        except OSError:
            continue
    return found


class Llem:
    """Runs the built llem with private HOME, XDG folders and results; every call has a time limit."""

    def __init__(self, program, folder):
        self.program = Path(program)
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("LLEM_", "XDG_"))}
        language = os.environ.get("LLEM_TEST_LOCALE", "C.UTF-8")  # a comma before the fraction must change nothing
        self.env |= {MARK: self.mark, "LC_ALL": language, "NO_COLOR": "1", "HOME": str(folder / "home")}
        for name in ("config", "cache", "data", "state"):
            self.env[f"XDG_{name.upper()}_HOME"] = str(folder / name)
        (folder / "home").mkdir(exist_ok=True)

    def use_real_models(self):
        """Finds the models of this machine's cache, which the private folders hide."""
        cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        self.env["LLEM_MODELS_DIR"] = os.environ.get("LLEM_MODELS_DIR", f"{cache}/llem/models")

    def command(self, *arguments):
        return [str(self.program), *map(str, arguments)]

    def start(self, *arguments, **options):
        """A running llem (subprocess.Popen), for tests that send signals."""
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options.setdefault("cwd", self.folder)
        options["env"] = self.env | options.pop("env", {})
        return subprocess.Popen(self.command(*arguments), text=True, **options)

    def run(self, *arguments, timeout=60, **options):
        """Runs to the end: subprocess.CompletedProcess with text."""
        process = self.start(*arguments, **options)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def ok(self, *arguments, **options):
        """Runs and asserts exit code 0; returns stdout."""
        done = self.run(*arguments, **options)
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def left_running(self):
        return processes_marked(self.mark)


def campaign_rounds(default):
    """Rounds of a random test: LLEM_CAMPAIGN_N (set by `make campaign`), else the small default."""
    return int(os.environ.get("LLEM_CAMPAIGN_N", default))


def check_golden(name, text):
    """text equals tests/golden/NAME; LLEM_UPDATE_GOLDEN=1 rewrites the file instead."""
    path = GOLDEN / name
    if os.environ.get("LLEM_UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"{path} is missing: run once with LLEM_UPDATE_GOLDEN=1 and read what it wrote"
    assert text == path.read_text(), f"differs from {path}; if the new text is right: LLEM_UPDATE_GOLDEN=1"


def validate(schema, path):
    """Asserts that the JSON file fits the schema; all errors at once, each with its place."""
    import jsonschema

    document = json.loads(Path(path).read_text())
    validator = jsonschema.Draft202012Validator(schema)
    errors = [
        f"{'/'.join(map(str, e.absolute_path)) or '(root)'}: {e.message}" for e in validator.iter_errors(document)
    ]
    assert not errors, f"{path} does not fit its schema:\n" + "\n".join(errors)
    return document


def wait_until(true, limit_s=30):
    """The first true answer; failed when there is none in time."""
    end = time.monotonic() + limit_s
    while not (answer := true()):
        assert time.monotonic() < end, "nothing came of it in time"
        time.sleep(0.02)
    return answer


def files_below(folder, name):
    """Files of that name; folders that come and go meanwhile are passed over, which Path.rglob does not do."""
    return [Path(where) / name for where, _, files in os.walk(folder) if name in files]


def any_says(folder, name, text):
    """Whether a file of that name has the text in it by now."""
    for path in files_below(folder, name):
        with contextlib.suppress(FileNotFoundError):
            if text in path.read_text():
                return True
    return False
