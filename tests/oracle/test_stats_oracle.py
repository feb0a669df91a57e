"""SciPy's word on the golden table that the C tests are held to (tests/data/stats_oracle.json)."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

TABLE = json.loads((Path(__file__).resolve().parent.parent / "data" / "stats_oracle.json").read_text())


def quantile(row):
    if row["dist"] == "normal":
        return stats.norm.ppf(row["p"])
    if row["dist"] == "t":
        return stats.t.ppf(row["p"], row["df"])
    return stats.f.ppf(row["p"], row["df1"], row["df2"])


@pytest.mark.parametrize("row", TABLE["distributions"], ids=lambda r: "-".join(str(v) for v in r.values()))
def test_distributions(row):
    assert quantile(row) == pytest.approx(row["x"], rel=1e-6, abs=1e-12)


def test_samples():
    s = TABLE["samples"]
    a, b = np.array(s["a"]), np.array(s["b"])
    assert a.mean() == pytest.approx(s["mean"]) and a.std(ddof=1) == pytest.approx(s["sd"])
    assert stats.median_abs_deviation(a) == pytest.approx(s["mad"])
    assert stats.theilslopes(a, np.arange(len(a))).slope == pytest.approx(s["theil_sen"])
    welch = stats.ttest_ind(a, b, equal_var=False)
    assert welch.pvalue == pytest.approx(s["welch"]["p"])
    for p, x in s["quantiles"]:
        assert np.quantile(a, p) == pytest.approx(x)


def test_fit():
    f = TABLE["fit"]
    x, y = np.array(f["x"]).reshape(f["rows"], f["columns"]), np.array(f["y"])
    beta, rss, _, _ = np.linalg.lstsq(x, y, rcond=None)
    assert beta == pytest.approx(f["coef"]) and rss[0] == pytest.approx(f["rss"])
