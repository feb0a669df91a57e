"""An adapter in Python, spoken to by hand: for what the suite and a run do not ask."""

import json
import os
import select
import socket
import subprocess

from support import ROOT

PACKAGE = ROOT / "engines" / "python"


class Spoken:
    """An adapter at work. ask() sends and waits; what it prints is in said()."""

    def __init__(self, argv, folder, env=None, path=()):
        ours, theirs = socket.socketpair()
        self.sock, self.buffer, self.n = ours, b"", 0
        self.out, self.err = folder / "stdout", folder / "stderr"
        paths = ":".join(map(str, [*path, PACKAGE]))
        env = {**os.environ, "LLEM_ENGINE_FD": str(theirs.fileno()), "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen([str(word) for word in argv], env=env, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=err, start_new_session=True)
        theirs.close()

    def send(self, name, **members):
        self.n += 1
        self.sock.sendall(json.dumps({"id": self.n, "type": name, **members}).encode() + b"\n")
        return self.n

    def reply(self, timeout=60):
        """The next line; None at the end of the socket."""
        while b"\n" not in self.buffer:
            assert select.select([self.sock], [], [], timeout)[0], f"no answer in {timeout} s: {self.lately()}"
            data = self.sock.recv(1 << 16)
            if not data:
                return None
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line)

    def ask(self, name, timeout=60, **members):
        number = self.send(name, **members)
        answer = self.reply(timeout)
        assert answer and answer["id"] == number, (answer, self.lately())
        return answer

    def ok(self, name, **members):
        answer = self.ask(name, **members)
        assert answer["type"] == name, (answer, self.lately())
        return answer

    def load(self, model, allow_substitution=False, options=None, **config):
        self.ok("hello", protocol=1)
        config = {"model_path": str(model), "options": options or {}, **config}
        return self.ask("load", config=config, allow_substitution=allow_substitution)

    def work(self, batch, *requests, timeout=60):
        """Prepares, generates and collects a batch of (token ids, max_tokens, ignore_eos)."""
        rows = [{"id": f"{batch}.{i}", "token_ids": ids, "max_tokens": n, "ignore_eos": ignore}
                for i, (ids, n, ignore) in enumerate(requests)]
        self.ok("prepare", batch=batch, requests=rows)
        self.ok("generate", batches=[batch], timeout=timeout)
        return self.ok("collect", batches=[batch])

    def said(self):
        return self.out.read_text(errors="replace") + self.err.read_text(errors="replace")

    def lately(self):
        return self.said()[-2000:]

    def end(self, timeout=10):
        """The status after shutdown."""
        self.ok("shutdown")
        return self.process.wait(timeout)

    def close(self):
        self.sock.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
