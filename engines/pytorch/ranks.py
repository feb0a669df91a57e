# SPDX-License-Identifier: MIT
"""Tensor parallelism: one process a rank, of which the adapter is the first. The others do what they are told through a
pipe, and end when it does."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

RANK_FD = "LLEM_RANK_FD"
FLAG_FD = "LLEM_RANK_FLAG_FD"
PR_SET_PDEATHSIG = 1
MEETING = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Flag:
    """The step at which all ranks stop, 0 while none is to. Ranks are never more than one step apart: each step needs
    what all of them computed. So all of them see in time what the first one says of two steps ahead."""

    def __init__(self, fd: int) -> None:
        self.map = mmap.mmap(fd, mmap.PAGESIZE)

    def get(self) -> int:
        return int.from_bytes(self.map[:8], "little")

    def set(self, step: int) -> None:
        self.map[:8] = step.to_bytes(8, "little")


def nothing() -> None:
    """What a rank heeds while it loads: it is ended with the adapter."""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Ranks:
    """All ranks but this process, which is the first."""

    def __init__(self, n: int, program: str) -> None:
        self.connections: list[Connection] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        self.closing = False
        flag_fd = os.memfd_create("llem-ranks", 0)
        os.ftruncate(flag_fd, mmap.PAGESIZE)
        self.flag = Flag(flag_fd)
        meeting = {"WORLD_SIZE": n, "LOCAL_WORLD_SIZE": n, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
        os.environ.update({name: str(value) for name, value in meeting.items()}, RANK="0", LOCAL_RANK="0")
        for rank in range(1, n):
            self._start(rank, program, flag_fd)
        os.close(flag_fd)

    def _start(self, rank: int, program: str, flag_fd: int) -> None:
        ours, theirs = socket.socketpair()
        fds = {RANK_FD: str(theirs.fileno()), FLAG_FD: str(flag_fd), "RANK": str(rank), "LOCAL_RANK": str(rank)}
        process = subprocess.Popen([sys.executable, program], env={**os.environ, **fds}, pass_fds=(theirs.fileno(), flag_fd))
        theirs.close()
        self.connections.append(Connection(ours.detach()))
        self.processes.append(process)
        threading.Thread(target=self._watch, args=(process, rank), daemon=True).start()

    def _watch(self, process: subprocess.Popen[bytes], rank: int) -> None:
        """Without one of them the others wait forever."""
        status = process.wait()
        if not self.closing:
            print(f"rank {rank} ended with status {status}", file=sys.stderr, flush=True)
            os._exit(1)

    def tell(self, what: str, argument: Any) -> None:
        for connection in self.connections:
            connection.send((what, argument))

    def answers(self) -> list[Any]:
        """What each said; raises what the first of those that failed said."""
        answers = [connection.recv() for connection in self.connections]
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def pids(self) -> list[int]:
        return [process.pid for process in self.processes]

    def close(self) -> None:
        self.closing = True
        for connection in self.connections:
            connection.close()
        until = time.monotonic() + 2
        for process in self.processes:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for name in MEETING:
            os.environ.pop(name, None)


def is_follower() -> bool:
    return RANK_FD in os.environ


def follow(handlers: dict[str, Callable[[Any, Flag], Any]]) -> None:
    """A rank but the first: does what it is told until the pipe ends. It dies with the adapter."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the adapter ends it
    connection, flag = Connection(int(os.environ.pop(RANK_FD))), Flag(int(os.environ.pop(FLAG_FD)))
    while True:
        try:
            what, argument = connection.recv()
        except EOFError:
            return
        try:
            answer = handlers[what](argument, flag)
        except Exception as error:
            answer = RuntimeError(f"rank {os.environ['RANK']}: {type(error).__name__}: {error}")
        connection.send(answer)
