"""docs/requirements.md: every requirement has a row, and every test that a row names exists."""

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "requirements.md"
EXPECTED = (
    [f"DOCK-{i:02}" for i in range(1, 12)]
    + [f"VLLM-{i:02}" for i in range(1, 5)]
    + [f"MEAS-{i:02}" for i in range(1, 5)]
    + [f"DOCS-{i:02}" for i in range(1, 5)]
    + ["TEST-01"]
    + [f"{group}-{i:02}" for group in ("TRT", "SGL", "ADV") for i in range(1, 4)]
)


def rows():
    """{id: (what, where, proof)} of the table."""
    found = re.findall(r"^\| ([A-Z]+-\d+) \| (.*?) \| (.*?) \| (.*?) \|$", PAGE.read_text(), re.M)
    return {row[0]: row[1:] for row in found}


@pytest.fixture(scope="session")
def ctest_names(build_dir):
    done = subprocess.run(
        ["ctest", "--test-dir", build_dir, "--show-only=json-v1"], capture_output=True, text=True, check=True
    )
    return {test["name"]: test["command"] for test in json.loads(done.stdout)["tests"]}


def pytest_function_exists(name):
    path, _, function = name.partition("::")
    if not (ROOT / path).exists():
        return False
    tree = ast.parse((ROOT / path).read_text())
    return any(isinstance(node, ast.FunctionDef) and node.name == function for node in tree.body)


def gtest_case_exists(command, case):
    done = subprocess.run([command[0], "-l"], capture_output=True, text=True, check=True, timeout=60)
    return case in done.stdout.split()


def complaint(name, ctest_names):
    """Why a named test does not exist, or None. Forms: a/test_b.py::test_c, unit.room, unit.room:/path/of/case."""
    if "::" in name:
        return None if pytest_function_exists(name) else f"no function {name}"
    program, _, case = name.partition(":")
    if program not in ctest_names:
        return f"ctest has no {program}"
    if case and not gtest_case_exists(ctest_names[program], case):
        return f"{program} has no case {case}"
    return None


def test_every_requirement_has_a_row():
    assert list(rows()) == EXPECTED


def test_rows_name_existing_tests_or_say_not_yet(ctest_names):
    wrong = []
    for requirement, (_, where, proof) in rows().items():
        names = re.findall(r"`([^`]+)`", proof)
        if not names and "not yet" not in proof:
            wrong.append(f"{requirement}: names no test and does not say `not yet`")
        wrong += [f"{requirement}: {why}" for name in names if (why := complaint(name, ctest_names))]
        wrong += [
            f"{requirement}: no {path}" for path in re.findall(r"`([\w./-]+)`", where) if not (ROOT / path).exists()
        ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", ["tests/cli/test_basics.py::test_no", "tests/no.py::test_x", "unit.no", "a:/no/case"])
def test_a_missing_test_is_noticed(name):
    assert complaint(name, {"a": ["/bin/true"]})
