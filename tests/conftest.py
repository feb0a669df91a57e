"""Shared by every pytest test: where the build is, private folders, commands with a time limit, skips under strict."""

import os
import signal
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
sys.path.insert(0, str(ROOT / "tests"))

import check_skips  # noqa: E402
import support  # noqa: E402

# A script's `cmd &` hands SIGINT down ignored, and llem would rightly go on ignoring it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

STRICT = os.environ.get("LLEM_TEST_STRICT", "") not in ("", "0")
_skips = []


@pytest.fixture(scope="session")
def build_dir():
    """The build under test: LLEM_BUILD_DIR, else build/release."""
    folder = Path(os.environ.get("LLEM_BUILD_DIR", ROOT / "build" / "release")).resolve()
    assert (folder / "bin" / "llem").exists(), f"no llem in {folder}/bin: run `make build` first"
    return folder


@pytest.fixture
def llem(build_dir, tmp_path):
    """The built llem in private folders; after the test nothing that it started may be left."""
    runner = support.Llem(build_dir / "bin" / "llem", tmp_path)
    yield runner
    left = runner.left_running()
    for process in left:
        process.kill()
    assert not left, f"left running after the test: {[str(p) for p in left]}"


@pytest.fixture
def engines(llem):
    """llem that finds the engines in Python that tools/setup-engines.sh made, and the models of this machine's cache."""
    python = os.environ.get("LLEM_TEST_ENGINES_PYTHON")
    if not python:
        why = os.environ.get("LLEM_TEST_NO_ENGINES", "LLEM_TEST_ENGINES_PYTHON is not set: tools/setup-engines.sh prints it")
        pytest.skip(f"wheels: {why}")
    llem.use_real_models()
    llem.env["LLEM_ENVIRONMENTS_DIR"] = str(Path(python).parent.parent.parent)
    return llem


@pytest.fixture
def golden():
    """golden(name, text): text equals tests/golden/NAME; LLEM_UPDATE_GOLDEN=1 rewrites it."""
    return support.check_golden


def pytest_runtest_logreport(report):
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _skips.append((report.nodeid, reason.removeprefix("Skipped: ")))


def pytest_collectreport(report):
    if report.skipped:
        _skips.append((report.nodeid, str(report.longrepr)))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    needs = check_skips.load_needs()
    unlisted = [s for s in _skips if check_skips.need_of(s[1], needs) is None]
    if STRICT and unlisted and exitstatus == 0:
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter):
    check_skips.report(_skips, check_skips.load_needs(), STRICT)
