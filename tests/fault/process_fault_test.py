"""Faults of the process: a lane that stalls, dies or throws; SIGTERM under load; a second one.

Run: python3 tests/fault/process_fault_test.py <faulty_server> <firstbyted> <firstbyte>
"""

import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import grpc

sys.path.append(str(pathlib.Path(__file__).parents[1]))
from firstbyted import Firstbyted  # noqa: E402

FAULTY, FIRSTBYTED, FIRSTBYTE = sys.argv.pop(1), sys.argv.pop(1), sys.argv.pop(1)


def healthy(server):
    """grpc.health.v1 Check of the whole server: SERVING is field 1 = 1."""
    with grpc.insecure_channel(server.target) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check", lambda b: b, lambda b: b)
        return check(b"", timeout=60) == b"\x08\x01"


class Speaker:
    """`firstbyte say -`: speaks what it is given until it is given no more."""

    def __init__(self, server):
        # Unbuffered: communicate() would not see what read() has taken beyond its byte.
        self.process = subprocess.Popen([FIRSTBYTE, "say", "-", "--out", "-", "--target", server.target],
                                        bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.say(b"Hello there. ")
        self.heard = self.process.stdout.read(1)  # it speaks

    def say(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def finish(self):
        rest, errors = self.process.communicate(timeout=60)
        return self.heard + rest, errors.decode(), self.process.returncode


class LaneFault(unittest.TestCase):
    def expect_answered(self, kind, reason):
        with tempfile.TemporaryDirectory() as folder:
            with Firstbyted(FAULTY, "--models", kind, "--models-dir", folder, "--stall-timeout", "500ms",
                            "--lame-duck", "10m") as server:
                speaker = Speaker(server)
                self.assertTrue(healthy(server))
                pathlib.Path(folder, "now").touch()
                speaker.say(b"And on. ")
                _, errors, code = speaker.finish()
                self.assertNotEqual(code, 0)
                self.assertIn(reason, errors)
                self.assertEqual(server.process.wait(timeout=60), 3)

    def test_a_lane_that_stalls(self):
        self.expect_answered("stalls", "stands still")

    def test_a_lane_that_dies(self):
        self.expect_answered("dies", "the device failed")

    def test_a_lane_that_throws(self):
        self.expect_answered("throws", "the device failed")

    def test_a_lane_that_waits_for_text_has_not_stalled(self):
        with tempfile.TemporaryDirectory() as folder:
            with Firstbyted(FAULTY, "--models", "waits", "--models-dir", folder, "--stall-timeout",
                            "100ms") as server:
                speaker = Speaker(server)
                time.sleep(1)  # ten timeouts
                speaker.say(b"And on. ")
                self.assertEqual(speaker.finish()[2], 0)
                self.assertTrue(healthy(server))


class Sigterm(unittest.TestCase):
    def test_what_can_end_in_time_ends_well(self):
        """Streams that go on for longer than a second lose nothing, and new ones are told why."""
        with Firstbyted(FIRSTBYTED, "--models", "scripted") as server:
            speakers = [Speaker(server) for _ in range(8)]
            whole = subprocess.run([FIRSTBYTE, "say", "Hello there. And on. ", "--out", "-", "--target",
                                    server.target], capture_output=True, timeout=60, check=True).stdout
            server.process.send_signal(signal.SIGTERM)
            server.line("draining")
            late = subprocess.run([FIRSTBYTE, "say", "Late.", "--out", "-", "--target", server.target],
                                  capture_output=True, text=True, timeout=60, check=False)
            self.assertIn("shutting down", late.stderr)
            time.sleep(1.5)
            for speaker in speakers:
                speaker.say(b"And on. ")
            for speaker in speakers:
                heard, errors, code = speaker.finish()
                self.assertEqual(code, 0, errors)
                self.assertEqual(len(heard), len(whole))
            self.assertEqual(server.process.wait(timeout=60), 0)

    def test_a_second_one_ends_at_once(self):
        with Firstbyted(FIRSTBYTED, "--models", "scripted", "--drain-timeout", "10m") as server:
            speaker = Speaker(server)
            server.process.send_signal(signal.SIGTERM)
            server.line("draining")
            self.assertEqual(server.stop(), -signal.SIGTERM)
            self.assertNotEqual(speaker.finish()[2], 0)


if __name__ == "__main__":
    unittest.main()
