"""docs/reliability.md: every fault of its tables has a test, and every test that is named exists."""

import re

from test_requirements import ROOT, complaint, ctest_names  # noqa: F401

PAGE = ROOT / "docs" / "reliability.md"


def faults():
    """(fault, names of tests) of every row below the heading."""
    text = PAGE.read_text().partition("## Faults of the system before")[2]
    rows = re.findall(r"^\| (?!fault |---)(.+?) \| (.+?) \|$", text, re.M)
    return [(fault, re.findall(r"`([^`]+)`", tests)) for fault, tests in rows]


def test_every_fault_has_a_test_that_exists(ctest_names):  # noqa: F811
    rows = faults()
    assert len(rows) > 30
    wrong = [f"{fault}: names no test" for fault, names in rows if not names]
    wrong += [f"{fault}: {why}" for fault, names in rows for name in names if (why := complaint(name, ctest_names))]
    assert not wrong, "\n".join(wrong)
