"""Starts what the benchmarks measure: firstbyted, the Python peers; names the machine."""

import os
import platform
import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("FIRSTBYTE_CACHE", Path.home() / ".cache/firstbyte"))
PYTHON = CACHE / "venv/bin/python"  # of the training environment, where the peers run
START_TIMEOUT_S = 120  # PyTorch takes ten seconds, on a busy machine many more


class Failure(Exception):
    pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server on a free port; use it in a `with`, which begins when it serves.

    names: "firstbyted", or a peer: "speech-batched", "speech-single", "world-batched",
    "world-single". flags: more of its own.
    """

    def __init__(self, name, build, models, flags=()):
        port, metrics = free_port(), free_port()
        self.name, self.build = name, Path(build)
        self.target, self.metrics = f"127.0.0.1:{port}", f"127.0.0.1:{metrics}"
        service, _, mode = name.partition("-")
        if name == "firstbyted":
            command = [self.build / "bin/firstbyted", "--listen", self.target, "--metrics-listen",
                       self.metrics, "--admin-listen", "off", "--models-dir", models]
        elif service == "speech":
            command = [PYTHON, "-m", "bench.peers.server", "--mode", mode, "--port", port, "--model",
                       Path(models) / "aligned-mel-en", "--front-end",
                       self.build / "bin/front_end_pipe"]
        else:
            command = [PYTHON, "-m", "bench.peers.world_server", "--mode", mode, "--port", port,
                       "--model", Path(models) / "state-dit-rooms"]
        self.command = [str(word) for word in [*command, *flags]]
        listing = "voices" if service == "speech" else "worlds"
        self.listing = [self.build / "bin/firstbyte", listing, "--target", self.target]

    def __enter__(self):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log, cwd=ROOT)
        deadline = time.monotonic() + START_TIMEOUT_S
        # firstbyted opens its port before its models are warm: it serves when it lists them.
        while subprocess.run(self.listing, cwd=ROOT, capture_output=True).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise Failure(f"{self.name} did not start:\n{self.tail()}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def tail(self):
        self.log.seek(0)
        return self.log.read()[-2000:]


def machine():
    """Where and of what the figures are, to be kept beside them."""
    cpu = platform.processor()
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    if found:
        cpu = found.group(1)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True,
                            stdout=subprocess.PIPE).stdout.strip()
    return {"commit": commit, "cpu": cpu, "cores": os.cpu_count(),
            "load_before": round(os.getloadavg()[0], 2)}
