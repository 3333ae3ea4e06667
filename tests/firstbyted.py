"""A firstbyted that runs for one test or one benchmark, on ports that were free.

    with Firstbyted("build/release/bin/firstbyted", "--models", "scripted") as server:
        subprocess.run([firstbyte, "say", "Hello.", "--out", "-", "--target", server.target], check=True)
        assert server.line("request")["code"] == "OK"
        assert server.stop() == 0
"""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
import urllib.request

# Of a server that is given no others.
FLAGS = {"--listen": "127.0.0.1:0", "--metrics-listen": "127.0.0.1:0", "--admin-listen": "127.0.0.1:0",
         "--log-format": "json"}


class Failure(Exception):
    """A server did not do what was waited for. The message ends with the end of its log."""


class Server:
    """A process that runs for as long as a `with`, which begins when it serves (serves() is True).

    What it prints goes to a file, so that it never waits for a reader. `command` may be changed before
    the `with`.
    """

    patience_s = 60  # with anything that is waited for
    look_every_s = 0.002

    def __init__(self, *command, cwd=None):
        self.command, self.cwd = [str(word) for word in command], cwd

    def __enter__(self):
        with tempfile.NamedTemporaryFile() as log:
            self.log = open(log.name, "rb")  # with a position of its own
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=self.cwd)
        try:
            self.wait_for("to serve", self.serves)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def serves(self):
        raise NotImplementedError

    def wait_for(self, what, found):
        """-> what found() returned when that was true for the first time."""
        deadline = time.monotonic() + self.patience_s
        while True:
            last = self.process.poll() is not None or time.monotonic() > deadline
            if result := found():
                return result
            if last:
                raise Failure(f"waited for {self.command[0]} {what}, in vain; its log ends:\n{self.tail()}")
            time.sleep(self.look_every_s)

    def tail(self):
        size = os.fstat(self.log.fileno()).st_size
        return os.pread(self.log.fileno(), 2000, max(0, size - 2000)).decode(errors="replace")


class Firstbyted(Server):
    """`ready`: the fields of its log line of that name. `target`, `metrics`, `admin`: host:port of each."""

    def __init__(self, program, *flags, cwd=None):
        ours = [word for flag, value in FLAGS.items() if flag not in flags for word in (flag, value)]
        super().__init__(program, *ours, *flags, cwd=cwd)

    def serves(self):
        self.ready = self._next("ready")
        if self.ready:
            self.target, self.metrics, self.admin = (
                f"127.0.0.1:{self.ready[port]}" for port in ("port", "metrics_port", "admin_port"))
        return self.ready

    def line(self, event):
        """The fields of the next log line of this event, which is waited for."""
        return self.wait_for(f"to log '{event}'", lambda: self._next(event))

    def metric(self, name, **labels):
        """The sum over the series of this name with these labels; a Failure where there is none."""
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=10) as page:
            series = re.findall(rf"^{name}(\{{.*\}})? (\S+)$", page.read().decode(), re.M)
        values = [float(value) for found, value in series
                  if all(f'{label}="{text}"' in found for label, text in labels.items())]
        if not values:
            raise Failure(f"/metrics has no {name} of {labels}")
        return sum(values)

    def stop(self, number=signal.SIGTERM):
        """-> its exit status, once the signal has ended it."""
        self.process.send_signal(number)
        return self.process.wait(self.patience_s)

    def _next(self, event):
        """The next line of this event among those that are whole; None where there is none yet."""
        while True:
            begin, line = self.log.tell(), self.log.readline()
            if not line.endswith(b"\n"):
                self.log.seek(begin)
                return None
            if line.startswith(b"{") and (fields := json.loads(line)).get("event") == event:
                return fields
