# SPDX-License-Identifier: MIT
"""Threads of vLLM's CPU backend: it binds those of each rank to CPUs of a list, a CPU a thread."""

from __future__ import annotations

import os
from collections.abc import Iterable

from llem_adapter import Refused

BIND = "VLLM_CPU_OMP_THREADS_BIND"
SYSFS = "/sys/devices/system/cpu/cpu{}/topology/{}"


def core_of(cpu: int) -> tuple[int, int]:
    """(package, core) of a CPU; a core of its own where the kernel does not say."""
    told = []
    for name in ("physical_package_id", "core_id"):
        try:
            with open(SYSFS.format(cpu, name), encoding="ascii") as file:
                told.append(int(file.read()))
        except (OSError, ValueError):
            return 0, cpu
    return told[0], told[1]


def spread(cpus: Iterable[int]) -> list[int]:
    """One CPU of each core first, those that share a core behind them; the highest first, for the lowest has the interrupts."""
    seen: dict[tuple[int, int], int] = {}
    order = []
    for cpu in sorted(cpus, reverse=True):
        core = core_of(cpu)
        seen[core] = seen.get(core, 0) + 1
        order.append((seen[core], -core[0], cpu))
    return [cpu for _, _, cpu in sorted(order, key=lambda row: (row[0], row[1], -row[2]))]


def binding(n_threads: int, ranks: int) -> str:
    """The lists of n_threads CPUs for each rank, of those that this process may use."""
    cpus = spread(os.sched_getaffinity(0))
    if n_threads * ranks > len(cpus):
        each = f" for each of {ranks} ranks" if ranks > 1 else ""
        raise Refused("BadValue", f"load: 'n_threads' {n_threads}{each}: a thread has a CPU of its own, and this process may use "
                      f"{len(cpus)} of them")
    return "|".join(",".join(map(str, sorted(cpus[i * n_threads:(i + 1) * n_threads]))) for i in range(ranks))
