#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/data/stats_oracle.json: values of other libraries that test_stats.c is held to.

Distributions come from mpmath at 40 digits (quantiles by root finding on the CDF); samples, fits and tests from
NumPy and SciPy. Run it by hand when a row is added: python3 tests/oracle/stats_oracle.py > tests/data/stats_oracle.json
"""

import json

import mpmath as mp
import numpy as np
from scipy import stats

mp.mp.dps = 40


def t_cdf(t, df):
    t, df = mp.mpf(t), mp.mpf(df)
    half = mp.betainc(df / 2, mp.mpf(1) / 2, 0, df / (df + t * t), regularized=True) / 2
    return half if t < 0 else 1 - half


def f_cdf(f, d1, d2):
    f, d1, d2 = mp.mpf(f), mp.mpf(d1), mp.mpf(d2)
    return mp.betainc(d1 / 2, d2 / 2, 0, d1 * f / (d1 * f + d2), regularized=True)


def quantile(cdf, p, start):
    bracket = (start * (1 - mp.mpf(10) ** -6), start * (1 + mp.mpf(10) ** -6))
    return mp.findroot(lambda x: cdf(x) / mp.mpf(p) - 1, bracket, solver="anderson", tol=mp.mpf(10) ** -50)


def distributions():
    rows = []
    for p in (1e-10, 1e-4, 0.025, 0.3, 0.5, 0.9, 0.975, 0.9999):
        x = 0.0 if p == 0.5 else float(quantile(mp.ncdf, p, mp.mpf(stats.norm.ppf(p))))
        rows.append({"dist": "normal", "p": p, "x": x})
        for df in (1, 2.5, 3, 7, 30, 1000):
            start = mp.mpf(stats.t.ppf(p, df))
            x = 0.0 if p == 0.5 else float(quantile(lambda v, d=df: t_cdf(v, d), p, start))
            rows.append({"dist": "t", "p": p, "df": df, "x": x})
        for d1, d2 in ((1, 5), (2, 20), (6, 4.5), (30, 200)):
            start = mp.mpf(stats.f.ppf(p, d1, d2))
            x = float(quantile(lambda v, a=d1, b=d2: f_cdf(v, a, b), p, start))
            rows.append({"dist": "f", "p": p, "df1": d1, "df2": d2, "x": x})
    return rows


def samples():
    rng = np.random.default_rng(1)
    a, b = rng.lognormal(3, 0.1, 12), rng.lognormal(3.05, 0.2, 9)
    paired = a[:9]
    log = np.log(b / paired)
    half = stats.t.ppf(0.975, 8) * log.std(ddof=1) / 3
    welch = stats.ttest_ind(a, b, equal_var=False)
    ci = welch.confidence_interval(0.95)
    x = np.arange(12.0)
    return {
        "a": a.tolist(),
        "b": b.tolist(),
        "mean": a.mean(),
        "sd": a.std(ddof=1),
        "median": float(np.median(a)),
        "mad": float(stats.median_abs_deviation(a)),
        "quantiles": [[p, float(np.quantile(a, p))] for p in (0, 0.05, 0.25, 0.5, 0.9, 0.975, 1)],
        "theil_sen": float(stats.theilslopes(a, x).slope),
        "welch": {
            "estimate": a.mean() - b.mean(),
            "low": ci.low,
            "high": ci.high,
            "df": float(welch.df),
            "p": float(welch.pvalue),
        },
        "ratio": {
            "estimate": float(np.exp(log.mean())),
            "low": float(np.exp(log.mean() - half)),
            "high": float(np.exp(log.mean() + half)),
            "p": float(stats.ttest_1samp(log, 0).pvalue),
        },
        "bootstrap": {
            k: [
                float(v)
                for v in stats.bootstrap(
                    (b,), np.mean, n_resamples=200000, method=k, random_state=2
                ).confidence_interval
            ]
            for k in ("percentile", "BCa")
        },
    }


def fit():
    rng = np.random.default_rng(3)
    x = np.column_stack([np.ones(20), np.arange(20.0), rng.normal(size=20)])
    y = x @ np.array([2.0, -0.5, 3.0]) + rng.normal(size=20)
    beta, rss, _, _ = np.linalg.lstsq(x, y, rcond=None)
    cov = np.linalg.inv(x.T @ x) * rss[0] / 17
    return {
        "x": x.ravel().tolist(),
        "y": y.tolist(),
        "rows": 20,
        "columns": 3,
        "coef": beta.tolist(),
        "cov": cov.ravel().tolist(),
        "rss": float(rss[0]),
    }


print(json.dumps({"distributions": distributions(), "samples": samples(), "fit": fit()}, indent=1))
