"""llem on a terminal of its own: what a person's keys do to it."""

import os
import pty
import subprocess
import threading


class Terminal:
    """A process that has a pseudo-terminal for its own: a Ctrl-C goes to all of its foreground, as from a keyboard."""

    def __init__(self, command, **options):
        ours, theirs = pty.openpty()
        self.fd, self.text = ours, ""
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            preexec_fn=lambda: self.take(theirs), **options,
        )
        os.close(theirs)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    @staticmethod
    def take(fd):
        import fcntl
        import termios

        fcntl.ioctl(fd, termios.TIOCSCTTY, 0)

    def read(self):
        while True:
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # EIO: nobody has the other end any more
                return
            if not data:
                return
            self.text += data.decode(errors="replace")

    def press(self, keys):
        os.write(self.fd, keys.encode())

    def ctrl_c(self):
        self.press("\x03")

    def wait(self, seconds=90):
        """Its exit code, as a shell would say it."""
        code = self.process.wait(seconds)
        self.reader.join(5)
        return code if code >= 0 else 128 - code

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.fd)
