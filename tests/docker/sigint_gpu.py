"""The Ctrl-C cases of docs/manual-tests.md on a machine with a GPU; tests/docker/sigint-gpu.sh starts it.

An engine of its own holds memory of the GPU by the driver's own interface, so that memory that stays behind is seen. Each
case starts `llem run` in a pseudo-terminal and does to it what a person would. The record has for each: what was done,
exit code, seconds, what the journal says, containers left, and used memory of each GPU by UUID before and after.
"""

import argparse
import datetime
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import toy  # noqa: E402

CTRL_C = b"\x03"
SLACK_MIB = 64  # of a driver that other programs use as well
LABEL = "org.llenergymeasure.run=1"

# The engine: the adapter that the page of the protocol prints, with memory of the GPU, slow, and deaf if asked.
ENGINE = '''
import ctypes, signal

SCHEMA[:] = [{"name": n, "type": "integer", "default": d, "min": 0, "max": 1000000, "unit": u, "help": h} for n, d, u, h in (
    ("token_us", 1000, "µs", "time of one token"), ("load_ms", 0, "ms", "time of loading"),
    ("hold_mib", 512, "MiB", "memory of the GPU to hold"), ("deaf", 0, "", "1: heeds no signal and no message to stop"))]

class Holder(Adapter):
    def hold(self, mib):
        cuda = ctypes.CDLL("libcuda.so.1")
        context, pointer = ctypes.c_void_p(), ctypes.c_uint64()
        for name, code in (("cuInit", cuda.cuInit(0)),
                           ("cuDevicePrimaryCtxRetain", cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0)),
                           ("cuCtxSetCurrent", cuda.cuCtxSetCurrent(context)),
                           ("cuMemAlloc", cuda.cuMemAlloc_v2(ctypes.byref(pointer), ctypes.c_size_t(mib << 20)))):
            if code:
                raise Refused("LoadFailed", f"{name} failed with {code}")

    def on_load(self, config, allow_substitution=False):
        reply = super().on_load(config, allow_substitution)
        if self.options["deaf"]:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            self.hold(self.options["hold_mib"])
            self.held = self.options["hold_mib"] << 20
        except OSError as e:
            self.held = f"no memory of a GPU is held: {e}"
        end = time.monotonic() + self.options["load_ms"] / 1000
        while time.monotonic() < end:
            time.sleep(0.02)
        return {**reply, "device": "gpu", "t1_ns": now()}

    def on_memory(self):
        return {"figures": {**super().on_memory()["figures"], "device_bytes": getattr(self, "held", "nothing is loaded")}}

    def read(self, timeout):
        return None if timeout == 0 and self.options and self.options["deaf"] else super().read(timeout)

Adapter = Holder
'''


def engine_folder(parent):
    folder = parent / "gpuhold"
    folder.mkdir(parents=True)
    head, mark, tail = toy.raw().partition('if __name__ == "__main__":')
    (folder / "toy_adapter.py").write_text(head + ENGINE + "\n" + mark + tail)
    tree = json.loads(toy.block("json"))
    tree |= {"name": "gpuhold", "summary": "holds memory of a GPU", "gpu": "always",
             "command": ["python3", "{dir}/toy_adapter.py"], "files": ["{dir}"]}  # fmt: skip
    tree["options"] = [
        {"name": n, "type": "integer", "unit": u, "default": d, "range": [0, 1000000], "help": h, "hashed": True}
        for n, u, d, h in (("token_us", "µs", 1000, "Time of one token."), ("load_ms", "ms", 0, "Time of loading."),
                           ("hold_mib", "MiB", 512, "Memory of the GPU to hold."), ("deaf", "", 0, "1: heeds nothing that would stop it."))
    ]  # fmt: skip
    for option in tree["options"]:
        if not option["unit"]:
            del option["unit"]
    (folder / "engine.json").write_text(json.dumps(tree, indent=1))


class Bench:
    """One machine, one image: starts llem and looks at what is there."""

    def __init__(self, options):
        self.options = options
        self.folder = Path(tempfile.mkdtemp(prefix="llem-sigint-"))
        self.client = options.client
        engine_folder(self.folder / "engines")
        self.env = {**os.environ, "LLEM_ENGINES_PATH": str(self.folder / "engines"), "LLEM_RUNNER_GPUHOLD": options.runner}
        self.n = 0

    def study(self, **engine):
        """A new results folder and a study file."""
        self.n += 1
        place = self.folder / f"case{self.n}"
        place.mkdir()
        tree = {"model": "none", "backend": "gpuhold", "n": 6, "max_output_tokens": 100, "baseline": {"enabled": False},
                "energy": {"max_repeats": 1},
                "warmup": {"n_warmup": 2, "max_prompts": 2, "thermal_floor_seconds": 0},
                "gpuhold": {"hold_mib": self.options.mib, **engine}}  # fmt: skip
        if self.options.gpus:
            tree["gpus"] = self.options.gpus.split(",")
        if self.options.environment:
            tree["runners"] = {"gpuhold": {"environment": self.options.environment.split(",")}}
        (place / "study.yaml").write_text(json.dumps(tree))
        return place

    def start(self, place):
        """llem in a pseudo-terminal of its own: (pid, descriptor of the terminal)."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.update(self.env)
            os.execv(self.options.llem, [self.options.llem, "run", str(place / "study.yaml"), "-o", str(place / "results")])
        return pid, terminal

    def phase(self, place):
        """The phase of the run under way, or None."""
        for path in place.glob("results/*/.exchange-*/progress.jsonl"):
            try:
                lines = path.read_text().splitlines()
                return json.loads(lines[-1])["phase"]
            except (OSError, ValueError, LookupError):
                continue
        return None

    def wait_phase(self, pid, terminal, place, wanted):
        end, said = time.monotonic() + self.options.limit, b""
        while time.monotonic() < end:
            said += drain(terminal)
            if self.phase(place) in wanted:
                return said
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                raise RuntimeError(f"llem ended before phase {wanted}:\n{(said + drain(terminal)).decode(errors='replace')}")
            time.sleep(0.02)
        raise RuntimeError(f"phase {wanted} did not come; it was {self.phase(place)}:\n{said.decode(errors='replace')}")

    def states(self, place):
        found = {}
        for path in place.glob("results/*/journal.jsonl"):
            for line in path.read_text().splitlines():
                row = json.loads(line)
                found[row.get("run")] = row.get("state")
        return [found[run] for run in sorted(found, key=str)]

    def containers(self, place):
        """Of this case: those with our label that have a mount below its folder."""
        if self.client is None:
            return []
        listed = subprocess.run([self.client, "ps", "-aq", "--no-trunc", "--filter", f"label={LABEL}"], capture_output=True, text=True)
        found = []
        for name in listed.stdout.split():
            told = subprocess.run([self.client, "inspect", name], capture_output=True, text=True)
            if told.returncode == 0 and str(place) in told.stdout:
                found.append(name)
        return found

    def memory(self):
        """{UUID: MiB used} as nvidia-smi has it, or why not."""
        if not shutil.which("nvidia-smi"):
            return {"absent": "no nvidia-smi"}
        command = ["nvidia-smi", "--query-gpu=uuid,memory.used", "--format=csv,noheader,nounits"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return {"absent": done.stderr.strip() or done.stdout.strip()}
        rows = [line.split(",") for line in done.stdout.splitlines() if line.strip()]
        return {uuid.strip(): float(used) for uuid, used in rows}


def drain(terminal):
    """What llem said; it would stop where nobody reads."""
    os.set_blocking(terminal, False)
    said = b""
    try:
        while data := os.read(terminal, 65536):
            said += data
    except OSError:
        pass
    return said


def wait_end(pid, terminal, limit):
    """Exit code as a shell has it, or None when it does not end."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        drain(terminal)
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            os.close(terminal)
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(terminal)
    return None


# The cases: each gets the bench and the place of its study, does it, and returns what is to be looked at.


def press(bench, place, phase, again=False, **engine):
    pid, terminal = bench.start(place)
    bench.wait_phase(pid, terminal, place, phase)
    running = bench.containers(place)
    begin = time.monotonic()
    os.write(terminal, CTRL_C)
    if again:
        time.sleep(1.5)
        os.write(terminal, CTRL_C)
    code = wait_end(pid, terminal, bench.options.limit)
    return {"running_before": len(running), "exit_code": code, "seconds": round(time.monotonic() - begin, 2), "expected": [130]}


def kill(bench, place, phase):
    pid, terminal = bench.start(place)
    bench.wait_phase(pid, terminal, place, phase)
    running = bench.containers(place)
    begin = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    code = wait_end(pid, terminal, bench.options.limit)
    while bench.containers(place) and time.monotonic() - begin < 30:
        time.sleep(0.1)
    seconds = round(time.monotonic() - begin, 2)
    next_place = bench.study(token_us=1000)
    pid, terminal = bench.start(next_place)
    after = wait_end(pid, terminal, bench.options.limit)
    return {"running_before": len(running), "exit_code": code, "seconds": seconds, "expected": [137], "next_exit_code": after,
            "next_states": bench.states(next_place)}  # fmt: skip


LOADING = {"load_ms": 20000}
SLOW = {"token_us": 3000}
CASES = [
    ("Ctrl-C while it loads", LOADING, lambda b, p: press(b, p, ["load"]), ["interrupted"]),
    ("Ctrl-C while it warms up", SLOW, lambda b, p: press(b, p, ["warm-up"]), ["interrupted"]),
    ("Ctrl-C while it measures", SLOW, lambda b, p: press(b, p, ["measure"]), ["interrupted"]),
    ("a second Ctrl-C while the engine heeds nothing", {**SLOW, "deaf": 1},
     lambda b, p: press(b, p, ["measure"], again=True), ["interrupted"]),
    ("kill -9 of llem, then the next study", SLOW, lambda b, p: kill(b, p, ["measure"]), ["running"]),
]


def judge(row, states, slack):
    """What did not hold, in words."""
    wrong = []
    if row["exit_code"] not in row["expected"]:
        wrong.append(f"exit code {row['exit_code']}, expected {row['expected']}")
    if row["states"] != states:
        wrong.append(f"the journal says {row['states']}, expected {states}")
    if row.get("next_exit_code", 0) != 0 or row.get("next_states", ["ok"]) != ["ok"]:
        wrong.append(f"the next study ended with {row.get('next_exit_code')}: {row.get('next_states')}")
    if row["in_container"] and row["running_before"] != 1:
        wrong.append(f"{row['running_before']} containers were running before it")
    if row["containers_left"]:
        wrong.append(f"left: {row['containers_left']}")
    for uuid, used in row["memory_after_mib"].items():
        before = row["memory_before_mib"].get(uuid)
        if isinstance(used, float) and isinstance(before, float) and used > before + slack:
            wrong.append(f"{uuid} holds {used - before:.0f} MiB more than before")
    return wrong


def run_case(bench, name, engine, do, states):
    place = bench.study(**engine)
    before = bench.memory()
    try:
        row = do(bench, place)
    except RuntimeError as error:
        row = {"exit_code": None, "expected": [], "running_before": 0, "seconds": 0, "error": str(error)}
    time.sleep(1)  # the driver takes a moment to give memory back
    row |= {"case": name, "states": bench.states(place), "containers_left": bench.containers(place), "memory_before_mib": before,
            "memory_after_mib": bench.memory(), "in_container": bench.client is not None}  # fmt: skip
    row["wrong"] = [row["error"]] if "error" in row else judge(row, states, SLACK_MIB)
    print(f"{'held' if not row['wrong'] else 'DID NOT HOLD'}: {name} (exit {row['exit_code']}, {row['seconds']} s)", flush=True)
    for text in row["wrong"]:
        print(f"    {text}", flush=True)
    return row


def said_by(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None


def arguments():
    parser = argparse.ArgumentParser(prog="sigint-gpu.sh", description="Ctrl-C on GPU hardware, through Docker.")
    parser.add_argument("--image", help="an image with python3 (python:3.12-slim)")
    parser.add_argument("--runner", help="another runner than docker:IMAGE (local: no container)")
    parser.add_argument("--gpus", help="UUIDs or indices, separated by commas; absent: the first")
    parser.add_argument("--mib", type=int, default=512, help="memory of the GPU to hold (default: 512)")
    parser.add_argument("--llem", default=str(ROOT / "build" / "release" / "bin" / "llem"))
    parser.add_argument("--environment", help="variables to hand into the container, separated by commas")
    parser.add_argument("--limit", type=float, default=180, help="seconds that a phase or an end may take (default: 180)")
    parser.add_argument("--out", type=Path, default=Path("sigint-gpu.json"), help="the record (default: sigint-gpu.json)")
    options = parser.parse_args()
    if not options.runner and not options.image:
        parser.error("give --image IMAGE, one with python3 (python:3.12-slim)")
    options.runner = options.runner or f"docker:{options.image}"
    kind = options.runner.partition(":")[0]
    options.client = kind if kind in ("docker", "podman") else None
    if options.client and not shutil.which(options.client):
        parser.error(f"there is no {options.client}")
    if not Path(options.llem).exists():
        parser.error(f"no {options.llem}: run `make build` first, or give --llem")
    return options


def main():
    options = arguments()
    bench = Bench(options)
    record = {"schema": "llem-sigint/1", "utc": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
              "llem": said_by(options.llem, "--version"), "runner": options.runner, "host": os.uname().release,
              "client": options.client and said_by(options.client, "version", "--format", "{{.Client.Version}} {{.Server.Version}}"),
              "gpus": said_by("nvidia-smi", "--query-gpu=uuid,name,driver_version", "--format=csv,noheader")}  # fmt: skip
    record["cases"] = [run_case(bench, *case) for case in CASES]
    record["held"] = not any(row["wrong"] for row in record["cases"])
    options.out.write_text(json.dumps(record, indent=1) + "\n")
    shutil.rmtree(bench.folder, ignore_errors=True)
    print(f"{options.out}: {'everything held' if record['held'] else 'not everything held'}")
    return 0 if record["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
