"""A server that works for minutes gives everything back: slots, streams, outbox, files, memory.

    python3 tests/soak/soak_test.py build/release            # a minute and a half
    python3 tests/soak/soak_test.py build/release 600 6      # an hour: 6 rounds of 600 seconds

One round of mixed load (listeners of PCM and Opus; some who cancel, read slowly, hang up or are killed;
players of worlds who step, prompt, snapshot, fork, leave, come back) fills the caches and the flight
recorder; the later rounds may add nothing. Memory is compared between idle moments, never while streams
run. What counts is the heap, what was allocated and not freed: resident memory also moves with what
malloc keeps for later, and is only bounded.
"""

import os
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.append(str(pathlib.Path(__file__).parents[1]))
from firstbyted import Failure, Firstbyted  # noqa: E402

BUILD = pathlib.Path(sys.argv.pop(1))
ROUND_SECONDS = float(sys.argv.pop(1)) if len(sys.argv) > 1 else 15
ROUNDS = int(sys.argv.pop(1)) if len(sys.argv) > 1 else 4
LOADS = (("--concurrency", "16"),
         ("--concurrency", "4", "--encoding", "opus"),
         ("--qps", "8", "--cancel-rate", "0.2", "--slow-reader-rate", "0.1", "--disconnect-rate", "0.1"))
# malloc counts what a thread keeps for itself as in use.
os.environ["GLIBC_TUNABLES"] = "glibc.malloc.tcache_count=0"
# Between the second idle moment and the last: other caches, and sessions that no round before needed
# at once. In the short soak alone a leak of 3 KiB a stream is more than this.
HEAP_GROWTH_BYTES = 1 << 20
RESIDENT_GROWTH_BYTES = 32 << 20
PLAYERS = 8
IDLE = {"firstbyte_streams_in_flight": 0, "firstbyte_slots_used": 0, "firstbyte_outbox_bytes": 0,
        "firstbyte_world_sessions": 0}
EMBEDDED = sorted(weights.parent.name for weights in
                  (pathlib.Path(__file__).parents[2] / "models").glob("*/model.safetensors"))


def gauges(server):
    return {name: server.metric(name) for name in IDLE}


def memory(server):
    """-> bytes: heap, resident."""
    return [server.metric(name) for name in ("firstbyte_heap_bytes", "process_resident_memory_bytes")]


def open_files(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def wait_until_idle(server, files=None):
    """No stream, and as many open files as `files` (None: any number)."""
    try:
        server.wait_for("to be idle", lambda: gauges(server) == IDLE and files in (None, open_files(server)))
    except Failure as failure:
        raise AssertionError(f"not idle: {gauges(server)}, {open_files(server)} files, not {files}") from failure


def load(server, seconds, *arguments):
    return subprocess.run(
        [BUILD / "bin/loadgen", "--target", server.target, "--duration", str(seconds),
         "--warmup", "1", "--quiet", "--ttfb-target", "10m", *arguments], capture_output=True, text=True)


def cut_off(server, seconds):
    """Clients that are killed while they listen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        client = subprocess.Popen(
            [BUILD / "bin/firstbyte", "say", "Nobody will hear the end of this long sentence. " * 40,
             "--target", server.target, "--out", "-"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        client.stdout.read(2000)
        client.kill()
        client.wait()
        client.stdout.close()


def play(server, seconds, seed):
    """Players who do anything, and check what they get; their sessions are gone afterwards."""
    return subprocess.run(
        [BUILD / "bin/world_players", server.target, str(seconds), str(PLAYERS), str(seed)],
        capture_output=True, text=True)


class Soak(unittest.TestCase):
    def test_everything_comes_back(self):
        with Firstbyted(BUILD / "bin/firstbyted", "--models", ",".join(EMBEDDED + ["scripted-world"]),
                        "--max-snapshot-mib", "4", "--flight-mib", "1") as server:
            server.look_every_s = 0.05
            wait_until_idle(server)
            files, marks = open_files(server), []
            for seed in range(ROUNDS):
                for arguments in LOADS:
                    done = load(server, ROUND_SECONDS / 5, *arguments)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                cut_off(server, ROUND_SECONDS / 5)
                played = play(server, ROUND_SECONDS / 5, seed)
                self.assertEqual(played.returncode, 0, played.stderr)
                wait_until_idle(server, files)
                marks.append(memory(server))
                heap, resident = (size / 2**20 for size in marks[-1])
                print(f"idle: heap {heap:.2f} MiB, {resident:.1f} MiB resident, {files} files; "
                      + played.stdout.strip(), flush=True)
            heap, resident = (last - early for last, early in zip(marks[-1], marks[1]))
            self.assertLessEqual(heap, HEAP_GROWTH_BYTES)
            self.assertLessEqual(resident, RESIDENT_GROWTH_BYTES)
            self.assertEqual(server.stop(), 0, "SIGTERM ends with 0")


if __name__ == "__main__":
    unittest.main()
