# SPDX-License-Identifier: MIT
"""Tensor parallelism: one process a rank, of which the adapter is the first. The others do what they are told through a
pipe, and end when it does."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from llem_adapter import Refused, is_oom

RANK_FD = "LLEM_RANK_FD"
RANK_PARENT = "LLEM_RANK_PARENT"
FLAG_FD = "LLEM_RANK_FLAG_FD"
PR_SET_PDEATHSIG = 1
PATIENCE_S = 5  # what is computed together ends by itself when one of the ranks is gone, or never
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
    """All ranks but this process, which is the first. A thread for each hears what it answers, and that it failed or ended
    while this one waits for it in the middle of its work."""

    def __init__(self, n: int, program: str, give_up: Callable[[Refused], None]) -> None:
        self.sockets: list[socket.socket] = []
        self.connections: list[Connection] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        self.give_up = give_up
        self.closing = False
        self.heard = threading.Condition()
        self.said: list[list[Any]] = [[] for _ in range(1, n)]
        self.failure: Refused | None = None  # of the first that failed
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
        fds = {RANK_FD: str(theirs.fileno()), FLAG_FD: str(flag_fd), "RANK": str(rank), "LOCAL_RANK": str(rank),
               RANK_PARENT: str(os.getpid())}
        process = subprocess.Popen([sys.executable, program], env={**os.environ, **fds}, pass_fds=(theirs.fileno(), flag_fd))
        theirs.close()
        self.sockets.append(ours)
        self.connections.append(Connection(os.dup(ours.fileno())))
        self.processes.append(process)
        threading.Thread(target=self._listen, args=(rank,), daemon=True).start()

    def _listen(self, rank: int) -> None:
        connection, process = self.connections[rank - 1], self.processes[rank - 1]
        try:
            while True:
                failed, answer = connection.recv()
                if failed:
                    return self._fail(*failed)
                with self.heard:
                    self.said[rank - 1].append(answer)
                    self.heard.notify_all()
        except (EOFError, OSError):
            if not self.closing:
                self._fail(f"rank {rank} ended with status {process.wait()}")
        finally:
            connection.close()

    def _fail(self, message: str, oom: bool = False) -> None:
        """Without one of them the others wait, this one perhaps forever."""
        with self.heard:
            if self.failure is not None:
                return
            self.failure = error = Refused("RankFailed", message, oom)
            self.heard.notify_all()
        print(message, file=sys.stderr, flush=True)
        time.sleep(PATIENCE_S)
        if not self.closing:
            self.give_up(error)

    def tell(self, what: str, argument: Any) -> None:
        self.check()
        for connection in self.connections:
            connection.send((what, argument))

    def check(self) -> None:
        """Raises what the first of those that failed said."""
        if self.failure is not None:
            raise self.failure

    def answers(self) -> list[Any]:
        """What each said."""
        with self.heard:
            self.heard.wait_for(lambda: self.failure or all(self.said))
            self.check()
            return [answers.pop(0) for answers in self.said]

    def reason(self, error: Exception) -> Exception:
        """Why this rank failed: often since another did, whose words say more."""
        if isinstance(error, Refused):
            return error
        with self.heard:
            self.heard.wait_for(lambda: self.failure is not None, 1)
            return self.failure or error

    def pids(self) -> list[int]:
        return [process.pid for process in self.processes]

    def close(self) -> None:
        self.closing = True
        for sock in self.sockets:
            with contextlib.suppress(OSError):  # gone
                sock.shutdown(socket.SHUT_RDWR)  # the threads that listen hear it, too
            sock.close()
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
    if os.environ.pop(RANK_PARENT) != str(os.getppid()):  # it was killed before it could be told of
        os._exit(1)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the adapter ends it
    connection, flag = Connection(int(os.environ.pop(RANK_FD))), Flag(int(os.environ.pop(FLAG_FD)))
    while True:
        try:
            what, argument = connection.recv()
        except EOFError:
            return
        try:
            answer = handlers[what](argument, flag)
        except Exception as error:  # the last word: what the others wait for ends with this process
            traceback.print_exc()
            what_failed = error.message if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
            connection.send(((f"rank {os.environ['RANK']}: {what_failed}", is_oom(error)), None))
            os._exit(1)
        connection.send((None, answer))
