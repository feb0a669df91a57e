# SPDX-License-Identifier: MIT
"""Which libraries an engine is: their versions, and which builds of them, without importing one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib import metadata


def versions(names: Iterable[str]) -> dict[str, str]:
    """Name → version of those that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return found


def builds(names: Iterable[str]) -> dict[str, str]:
    """Name → SHA-256 of the list of files and their hashes that was installed with it: two builds of one version differ."""
    found = {}
    for name in versions(names):
        record = metadata.distribution(name).read_text("RECORD")
        if record is not None:
            rows = sorted(row for row in record.splitlines() if ",sha256=" in row)  # not what was compiled here
            found[name] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    return found
