"""Random bad days and random files: LLEM_CAMPAIGN_N rounds (`make campaign`), a few in the ordinary tests.

A failing round names its number; the same number draws the same study, fault and moment again."""

import json
import os
import random
import re
import signal
import time

import pytest

import support
from studies import check_records, the_study, write

pytestmark = pytest.mark.campaign

FAULTS = ["none", "crash", "exit", "early_eof", "garbage", "generate_error", "hang", "load_error", "load_crash",
          "leave_child", "leave_daemon", "no_shutdown", "log_flood", "short_output"]
# What happens to whom. "" is the engine's own fault alone.
BLOWS = [("", None), ("llem", signal.SIGINT), ("llem", signal.SIGTERM), ("llem", signal.SIGKILL),
         ("llem-worker", signal.SIGKILL), ("llem-worker", signal.SIGTERM), ("llem-engine-sim", signal.SIGKILL)]


def draw_study(dice):
    fields = {
        "sim.token_us": dice.choice([100, 2000, 20000]),
        "max_output_tokens": dice.randint(1, 12),
        "n": dice.randint(1, 4),
        "warmup.enabled": dice.random() < 0.5,
        "limits.timeout_seconds": 5,
        "sim.fail_at": dice.randint(1, 4),
        "sim.log_mib": 4,
    }
    sweep = {"sim.fail": dice.sample(FAULTS, 2)}
    return fields, sweep


def strike(llem, process, whom, blow):
    if whom == "llem":
        process.send_signal(blow)
        return
    for found in support.processes_marked(llem.mark):
        if os.path.basename(found.command.split(" ")[0]) == whom:
            try:
                os.kill(found.pid, blow)
            except ProcessLookupError:
                pass
            return


def wait_until_gone(llem, seconds):
    end = time.monotonic() + seconds
    while llem.left_running() and time.monotonic() < end:
        time.sleep(0.05)
    return [str(p) for p in llem.left_running()]


def check_what_is_left(llem, study, killed):
    """No torn file, a record a run at most; and where llem itself lived, exactly one."""
    if not killed:
        check_records(llem, study)
    for path in study.folder.rglob("*.json"):
        json.loads(path.read_text())
    for run in study.runs:
        assert not ((run / "result.json").exists() and (run / "error.json").exists()), run
    if study.journal:
        llem.ok("show", study.folder)


@pytest.mark.parametrize("number", range(support.campaign_rounds(6)))
def test_any_blow_at_any_moment(llem, tmp_path, number):
    dice = random.Random(number)
    fields, sweep = draw_study(dice)
    whom, blow = dice.choice(BLOWS)
    moment_s = dice.uniform(0, 1.5)
    path = write(tmp_path / "s.yaml", fields, sweep=sweep, execution={"n_cycles": 1, "order": "shuffled"})
    process = llem.start("run", path, "-o", tmp_path / "results")
    time.sleep(moment_s)
    strike(llem, process, whom, blow)
    out, err = process.communicate(timeout=90)
    told = f"round {number}: {sweep}, {blow} to {whom or 'nobody'} after {moment_s:.3f} s\n{out}\n{err}"
    killed = process.returncode == -signal.SIGKILL
    assert process.returncode in (0, 1, 130, 143, -signal.SIGKILL, -signal.SIGINT, -signal.SIGTERM), told
    assert killed == (whom == "llem" and blow == signal.SIGKILL) or process.returncode in (0, 1), told
    assert not wait_until_gone(llem, 45), told
    if not (tmp_path / "results").exists() or not list((tmp_path / "results").glob("*/journal.jsonl")):
        assert process.returncode < 0, told  # struck before anything was begun
        return
    check_what_is_left(llem, the_study(tmp_path / "results"), killed)


def corpus():
    files = sorted([*(support.ROOT / "examples").glob("*.yaml"), *(support.ROOT / "tests/golden/config").glob("*.yaml")])
    assert files
    return files


def accidents(dice, text):
    """What an editor does to a file by mistake; a byte is a character here, so that invalid UTF-8 comes up too."""
    lines = text.splitlines(keepends=True) or ["\n"]
    at, place = dice.randrange(len(lines)), dice.randrange(len(text) + 1)
    before, line, after = lines[:at], lines[at], lines[at + 1:]
    stroke = dice.choice(list("\t:-[]{}&*!|>'\"%@`,#\0\xe9"))
    word = dice.choice(["1e999", "~", "<<: *x", "&a [*a]", "- ", "9" * 40, "null", "0x1F"])
    number = dice.choice(["-1", "0", "1e9", "nan"])
    return {
        "line lost": "".join(before + after),
        "line twice": "".join(before + [line, line] + after),
        "line pushed in": "".join(before + [" " * dice.randint(1, 3) + line] + after),
        "stroke": text[:place] + stroke + text[place:],
        "word": text[:place] + word + text[place:],
        "cut off": text[:place],
        "numbers": re.sub(r"\d+", number, text, count=dice.randint(1, 3)),
    }


def spoil(dice, text):
    for _ in range(dice.randint(1, 4)):
        text = dice.choice(list(accidents(dice, text).values()))
    return text


def test_spoiled_files_are_refused_in_words(llem, tmp_path):
    """No crash and no silence: a file is taken, or every complaint has its place."""
    files = corpus()
    for number in range(support.campaign_rounds(40)):
        dice = random.Random(number)
        path = tmp_path / f"{number}.yaml"
        path.write_bytes(spoil(dice, dice.choice(files).read_bytes().decode("latin-1")).encode("latin-1"))
        done = llem.run("config", "check", path)
        told = f"round {number} ({path}): exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode in (0, 2), told
        if done.returncode == 2:
            assert re.search(rf"{number}\.yaml:\d+:\d+: error: ", done.stderr), told
