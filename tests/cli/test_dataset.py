"""`llem dataset` and the data sets that have a name."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MIX = ROOT / "data" / "llem-mix.jsonl"


def test_llem_mix_is_what_its_generator_writes():
    made = subprocess.run([sys.executable, ROOT / "tools" / "llem_mix.py"], capture_output=True, check=True).stdout
    assert made == MIX.read_bytes(), "write it with: tools/llem_mix.py > data/llem-mix.jsonl"


def test_llem_mix_is_as_its_page_says():
    rows = [json.loads(line) for line in MIX.read_text().splitlines()][1:]
    texts = [row["prompt"] for row in rows]
    assert len(texts) == len(set(texts)) == 1000
    kinds = [row["source"] for row in rows]
    assert {kind: kinds.count(kind) for kind in kinds} == dict.fromkeys(kinds, 100)
    lengths = sorted(map(len, texts))
    table = [line.split(" | ") for line in (ROOT / "docs" / "datasets.md").read_text().splitlines() if line.startswith("| ")][1:]
    shares = {"shortest": 0, "longest": 1} | {row[0][2:]: float(row[0][2:-2]) / 100 for row in table if row[0].endswith("%")}
    for row in table[:-1]:
        ours = lengths[round(shares[row[0].removeprefix("| ")] * 999)]
        assert f"{ours:,}" == row[2], row
        assert 0.85 < ours / int(row[1].replace(",", "")) < 1.15, row
