"""docs/backends.md: its tables are those of the descriptors."""

import os
import re

from support import ROOT

PAGE = ROOT / "docs" / "backends.md"
TABLE = re.compile(r"<!-- table ([\w.]+) -->\n.*?<!-- end -->\n", re.S)


def test_the_tables_are_those_of_the_rows(llem):
    """LLEM_UPDATE_GOLDEN=1 writes them anew."""
    made = {match[1]: match[0] for match in TABLE.finditer(llem.ok("engine", "reference"))}
    page = PAGE.read_text()
    assert set(made) == {match[1] for match in TABLE.finditer(page)}
    current = TABLE.sub(lambda match: made[match[1]], page)
    if os.environ.get("LLEM_UPDATE_GOLDEN"):
        PAGE.write_text(current)
        page = current
    assert page == current, "run this test with LLEM_UPDATE_GOLDEN=1"
