"""Every flag a record can carry is explained on the methodology page."""

import re

import support


def test_flags_are_explained():
    page = (support.ROOT / "docs" / "methodology.md").read_text()
    sources = [support.ROOT / "src" / name
               for name in ("experiment/flags.h", "account/account.h", "result/parts.h", "energy/energy.h")]
    text = "".join(re.sub(r"\s*\\\n\s*", " ", s.read_text()) for s in sources)
    flags = re.findall(r'X\([A-Z_]+, "([a-z_]+)", "[a-z]', text)
    assert len(flags) > 20
    missing = [f for f in flags if f"| `{f}` |" not in page]
    assert not missing
