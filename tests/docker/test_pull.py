"""Images are fetched before a study, as its pull policy says, and never while it runs."""

import time

import images
import pytest
from registry import Registry
from terminal import Terminal

from studies import the_study, write


@pytest.fixture
def registry():
    with Registry() as r:
        yield r


def study_file(llem, image, **fields):
    return write(llem.folder / "s.yaml", {"runners.sim.use": f"docker:{image}", **fields})


def run(llem, path, expect=0):
    done = llem.run("run", path, "-o", llem.folder / "results", "--skip-preflight", timeout=120)
    assert done.returncode == expect, done.stdout + done.stderr
    return done


def test_pulled_once_and_pinned_by_digest(llem, docker, registry):
    name = registry.push("llem/runs:1", images.build("base", labels={"n": "runs"}))
    done = run(llem, study_file(llem, name))
    assert f"pulling {name}" in done.stdout + done.stderr
    context = the_study(llem.folder / "results").result()["context"]
    assert context["image"] == name
    assert context["image_id"] == docker.image_id(name)
    assert context["image_digest"].endswith(registry.digest_of(name))
    (llem.folder / "results").rename(llem.folder / "first")
    asked = len(registry.requests)
    run(llem, study_file(llem, name))  # it is there: nobody is asked, so that it works offline
    assert len(registry.requests) == asked
    docker.ok("rmi", "-f", name)


def test_always_follows_the_name(llem, docker, registry):
    name = registry.push("llem/follows:1", images.build("base", labels={"n": "old"}))
    docker.ok("pull", name)
    registry.push("llem/follows:1", images.build("base", labels={"n": "new"}))
    run(llem, study_file(llem, name, **{"runners.sim.pull": "always"}))
    assert the_study(llem.folder / "results").result()["context"]["image_labels"]["n"] == "new"
    docker.ok("rmi", "-f", name)


def test_never_asks_nobody(llem, docker, registry):
    name = registry.push("llem/never:1", images.build("base"))
    done = run(llem, study_file(llem, name, **{"runners.sim.pull": "never"}), 1)
    assert name in done.stderr and "image" in done.stderr
    assert registry.requests == []


def test_a_pull_is_not_within_the_time_of_a_run(llem, docker, registry):
    """It takes longer than all that a run may take."""
    name = registry.push("llem/late:1", images.build("base", labels={"n": "late"}))
    registry.delay_s = 5
    began = time.monotonic()
    run(llem, study_file(llem, name, **{"limits.timeout_seconds": 4}))
    assert time.monotonic() - began > 5
    assert the_study(llem.folder / "results").states() == ["ok"]
    docker.ok("rmi", "-f", name)


def test_ctrl_c_while_an_image_is_fetched(llem, docker, registry):
    name = registry.push("llem/slow:1", images.build("base", labels={"n": "slow runs"}))
    registry.delay_s = 60
    t = Terminal(llem.command("run", study_file(llem, name), "-o", "results", "--skip-preflight"), cwd=llem.folder,
                 env=llem.env)
    end = time.monotonic() + 30
    while not registry.requests:
        assert time.monotonic() < end and t.process.poll() is None, t.text
        time.sleep(0.02)
    time.sleep(0.5)
    t.ctrl_c()
    began = time.monotonic()
    code = t.wait(30)
    registry.delay_s = 0
    t.close()
    assert code == 130, t.text
    assert time.monotonic() - began < 10
