"""docs/engine-descriptor.md: it has every member the reader takes, and its example is an engine."""

import json
import re

import pytest
from support import ROOT

PAGE = (ROOT / "docs" / "engine-descriptor.md").read_text()


def test_every_member_is_on_the_page():
    sources = "".join(path.read_text() for path in (ROOT / "src" / "backend").glob("*.c"))
    members = set(re.findall(r'^    \{"(\w+)", (?:true|false), read_', sources, re.M))
    members |= set(re.findall(r"^    (?:NODE|TEXT)\((\w+)", sources, re.M))
    assert {"format", "options", "hashed", "when", "why", "rounds_to", "alias"} <= members
    missing = sorted(name for name in members if f"`{name}`" not in PAGE)
    assert not missing


@pytest.mark.parametrize("path", sorted((ROOT / "engines").glob("*/engine.json")), ids=lambda path: path.parent.name)
def test_every_rule_names_where_it_was_found_out(path):
    rules = json.loads(path.read_text()).get("rules", [])
    assert rules and not [rule for rule in rules if not rule.get("source")]


@pytest.mark.parametrize("path", sorted((ROOT / "engines").glob("*/engine.json")), ids=lambda path: path.parent.name)
def test_every_retired_name_has_its_version(path):
    tree = json.loads(path.read_text())
    rows = [*tree.get("retired", []), *tree.get("unheeded_env", [])]
    assert not [row for row in rows if not row.get("since")]


def test_the_example_is_an_engine(llem, tmp_path):
    example = json.loads(re.search(r"^```jsonc\n(.*?)^```", PAGE, re.M | re.S).group(1))
    (tmp_path / example["name"]).mkdir()
    (tmp_path / example["name"] / "engine.json").write_text(json.dumps(example))
    llem.env["LLEM_ENGINES_PATH"] = str(tmp_path)
    row = {row["backend"]: row for row in json.loads(llem.ok("engine", "list", "--json"))}[example["name"]]
    assert row["folder"] == str(tmp_path / example["name"]) and row["description"] == example["summary"]
