"""Starts what the benchmarks measure: firstbyted, the Python peers; names the machine."""

import os
import platform
import re
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))
from firstbyted import Failure, Firstbyted, Server  # noqa: E402,F401: Failure is for those who import us

CACHE = Path(os.environ.get("FIRSTBYTE_CACHE", Path.home() / ".cache/firstbyte"))
PYTHON = CACHE / "venv/bin/python"  # of the training environment, where the peers run


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Peer(Server):
    """One of bench/peers on a free port. `name`: "speech-batched", "speech-single", "world-batched",
    "world-single"; `flags`: more of its own.
    """

    patience_s = 120  # PyTorch takes ten seconds, on a busy machine many more
    look_every_s = 0.1

    def __init__(self, name, build, models, flags=()):
        service, _, mode = name.partition("-")
        port = free_port()
        self.target = f"127.0.0.1:{port}"
        if service == "speech":
            own = ["bench.peers.server", "--model", models / "aligned-mel-en", "--front-end",
                   build / "bin/front_end_pipe"]
            listing = "voices"
        else:
            own = ["bench.peers.world_server", "--model", models / "state-dit-rooms"]
            listing = "worlds"
        super().__init__(PYTHON, "-m", *own, "--mode", mode, "--port", port, *flags, cwd=ROOT)
        self.listing = [build / "bin/firstbyte", listing, "--target", self.target]

    def serves(self):
        return subprocess.run(self.listing, capture_output=True).returncode == 0


def serving(name, build, models, flags=()):
    """"firstbyted" or a Peer, for a `with`; paths are as seen from the repository."""
    build, models = ROOT / build, ROOT / models
    if name == "firstbyted":
        return Firstbyted(build / "bin/firstbyted", "--models-dir", models, *flags)
    return Peer(name, build, models, flags)


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
