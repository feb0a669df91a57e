# SPDX-License-Identifier: MIT
"""What the process of an adapter owes before an engine is imported: nothing is fetched, nobody is told, stdout is no
channel, and no child holds the socket."""

from __future__ import annotations

import os
import socket
import sys

# Set whatever the user's environment says: an engine that fetches files, or reports home, is at work beside the work.
QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
         "DO_NOT_TRACK": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TOKENIZERS_PARALLELISM": "false"}


def quiet() -> None:
    os.environ.update(QUIET)


def turn_stdout_away() -> None:
    """Whatever an engine prints, and whichever of its processes, goes where errors go."""
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), 1)


def resident_peak_bytes() -> int:
    """The most that this process had in memory. ru_maxrss has what its parent had, too, before the program began."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM:"))


def take_socket() -> socket.socket:
    """The socket is this process's alone: neither a program that it starts nor a fork of it keeps the socket open."""
    text = os.environ.pop("LLEM_ENGINE_FD", "")
    if not text.isdigit():
        sys.exit("an engine adapter is started by llem with a socket in LLEM_ENGINE_FD; try 'llem engine check PROGRAM'")
    sock = socket.socket(fileno=int(text))
    os.set_inheritable(sock.fileno(), False)
    os.register_at_fork(after_in_child=sock.close)
    return sock
