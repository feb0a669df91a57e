"""The order of a run: what docs/architecture.md draws and what the judge of accuracy draws is what the worker does."""

import re

from support import ROOT

PHASES = re.findall(r'^    \{"([^"]+)", \w+\},$', (ROOT / "src/experiment/experiment.c").read_text(), re.M)
# Stretches that a board's readings show, in the judge's words.
JUDGED = {"load": "load", "idle with the engine loaded": "idle with the engine loaded", "warm-up": "warm-up", "measure": "work"}


def in_order(text, words):
    places = [text.index(word) for word in words]
    assert places == sorted(places)


def test_the_page_draws_the_phases_in_their_order():
    page = (ROOT / "docs/architecture.md").read_text()
    drawn = re.search(r"^```\n(sensors ─►.*?)^```", page, re.M | re.S).group(1)
    drawn = re.sub(r"\([^)]*\)", "", drawn)
    words = [re.sub(r"\s+", " ", word.strip()) for word in drawn.split("─►")]
    assert words == PHASES


def test_the_judge_draws_them_in_that_order():
    order = [JUDGED[phase] for phase in PHASES if phase in JUDGED]
    head = (ROOT / "tests/accuracy/order.h").read_text().split("nature_draw()")[0]
    in_order(re.sub(r"\s+\*?\s*", " ", head.split(":", 2)[2]), order)
    source = (ROOT / "tests/accuracy/order.c").read_text()
    in_order(source, ["o->load = pass", "o->idle =", "o->warmup = pass", "keep_quiet_before(", "nature_work("])


def test_the_judge_waits_as_long_as_a_run():
    """Gaps are numbers in the judge: half of an idle level as long as by default, and no engine that rested."""
    order = (ROOT / "tests/accuracy/order.c").read_text()
    seconds = re.search(r"\| `baseline.duration_seconds` \|[^|]*\| `(\d+)` \|", (ROOT / "docs/configuration.md").read_text()).group(1)
    shares = re.findall(r'([\d.]+), worked_ns, "idle_', (ROOT / "src/experiment/experiment.c").read_text())
    idle_s = re.search(r"define IDLE_NS +\((\d+) \* NS_PER_S\)", order).group(1)
    assert [float(share) * int(seconds) for share in shares] == [int(idle_s)] * 2
    rested_s = re.search(r"define RESTED_NS +\((\d+) \* NS_PER_S\)", (ROOT / "src/experiment/measure.c").read_text()).group(1)
    assert float(re.search(r"handing_ms = {\d+, (\d+)}", order).group(1)) == 1000 * int(rested_s)
    assert "energy_rest_ns(" in order and "energy_rest_ns(" in (ROOT / "src/experiment/idle.c").read_text()
