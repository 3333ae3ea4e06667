"""The log line of a request: its id, every timing, and the client's trace.

Run: python3 tests/rpc/request_log_test.py <firstbyted> <firstbyte>
"""

import json
import pathlib
import subprocess
import sys
import unittest

import grpc

sys.path.append(str(pathlib.Path(__file__).parents[1]))
from firstbyted import Firstbyted  # noqa: E402

FIRSTBYTED, FIRSTBYTE = sys.argv.pop(1), sys.argv.pop(1)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TIMINGS = {"model_load_ms", "queue_ms", "prefill_ms", "generation_ms", "decode_ms", "encode_ms", "ttfb_ms",
           "total_ms", "rtf", "mean_batch_size"}


class RequestLog(unittest.TestCase):
    def setUp(self):
        self.server = self.enterContext(Firstbyted(FIRSTBYTED, "--models", "scripted,scripted-world"))
        self.target = self.server.target

    def firstbyte(self, *arguments, given=None):
        subprocess.run([FIRSTBYTE, "--target", self.target, *arguments], input=given, text=True, check=True,
                       stdout=subprocess.DEVNULL, timeout=60)

    def speak(self, *metadata):
        """A request without a text, which is refused."""
        with grpc.insecure_channel(self.target) as channel:
            method = channel.unary_stream("/firstbyte.v1.SpeechService/SynthesizeOnce", lambda b: b, lambda b: b)
            with self.assertRaises(grpc.RpcError):
                list(method(b"", metadata=metadata, timeout=60))

    def test_speech_has_every_timing_and_none_of_its_text(self):
        self.firstbyte("say", "A secret sentence.", "--out", "-")
        line = self.server.line("request")
        self.assertLessEqual(TIMINGS, set(line))
        self.assertEqual(line["code"], "OK")
        self.assertGreater(line["total_ms"], 0)
        self.assertTrue(line["request_id"])
        self.assertNotIn("secret", json.dumps(line))

    def test_a_walk_has_every_timing(self):
        self.firstbyte("play", "--script", "-", given="W 3\n")
        line = self.server.line("request")
        self.assertLessEqual(TIMINGS | {"blocks", "skipped_blocks"}, set(line))
        self.assertEqual(line["blocks"], 3)

    def test_a_trace_is_on_the_line(self):
        self.speak(("x-request-id", "mine"), ("traceparent", TRACE))
        line = self.server.line("request")
        self.assertEqual((line["request_id"], line["traceparent"]), ("mine", TRACE))

    def test_a_world_and_a_call_that_said_nothing_have_theirs(self):
        with grpc.insecure_channel(self.target) as channel:
            for method in ("SpeechService/Synthesize", "WorldService/StepWorld"):
                call = channel.stream_stream(f"/firstbyte.v1.{method}", lambda b: b, lambda b: b)
                with self.assertRaises(grpc.RpcError):
                    list(call(iter([]), metadata=(("x-request-id", "mute"), ("traceparent", TRACE)), timeout=60))
                line = self.server.line("request")
                self.assertEqual((line["request_id"], line["traceparent"]), ("mute", TRACE))
                self.assertFalse(TIMINGS & set(line), "it was never admitted, so nothing took time")

    def test_what_is_no_trace_is_not_logged(self):
        self.speak(("traceparent", "00-nonsense"))
        self.speak()
        for _ in range(2):
            self.assertNotIn("traceparent", self.server.line("request"))


if __name__ == "__main__":
    unittest.main()
