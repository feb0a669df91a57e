"""Links and file names in the documents lead somewhere."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "*.md"], capture_output=True, text=True, check=True
    ).stdout.split()
)


def without_code(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def anchors(path):
    """The anchors of a page's headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.+)$", without_code(path.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


def broken_links(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        if not linked.exists():
            yield f"{target}: no such file"
        elif anchor and linked.suffix == ".md" and anchor not in anchors(linked):
            yield f"{target}: no such heading"


def missing_files(path):
    """Paths of the repository named in the text that are not there."""
    for name in re.findall(
        r"`((?:src|tests|tools|docs|engines|sim|bench|examples|data)/[\w./-]*\w)`", path.read_text()
    ):
        if not re.search(r"[A-Z]{3,}", name) and not (ROOT / name).exists():
            yield f"`{name}`: no such file"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    path = ROOT / page
    wrong = [*broken_links(path), *missing_files(path)]
    assert not wrong, f"{page}:\n" + "\n".join(wrong)


def test_a_broken_link_is_noticed(tmp_path):
    page = tmp_path / "a.md"
    page.write_text("# One two\n[x](b.md) [y](#one-two) [z](#three) `tools/no.sh`\n```\n[code](c.md)\n```\n")
    assert list(broken_links(page)) == ["b.md: no such file", "#three: no such heading"]
    assert list(missing_files(page)) == ["`tools/no.sh`: no such file"]
