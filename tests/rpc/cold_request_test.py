"""The embedded voice, loaded by the first request that names it: what that request and /metrics say.

Run: python3 tests/rpc/cold_request_test.py <firstbyted> <firstbyte>
"""

import pathlib
import subprocess
import sys
import unittest

sys.path.append(str(pathlib.Path(__file__).parents[1]))
from firstbyted import Firstbyted  # noqa: E402

FIRSTBYTED, FIRSTBYTE = sys.argv.pop(1), sys.argv.pop(1)
VOICE = "aligned-mel-en"
LOAD = "firstbyte_request_model_load_seconds"


class ColdRequest(unittest.TestCase):
    def setUp(self):
        self.server = self.enterContext(Firstbyted(FIRSTBYTED, "--models", VOICE, "--lazy-models", VOICE))

    def firstbyte(self, *arguments):
        return subprocess.run([FIRSTBYTE, "--target", self.server.target, *arguments], check=True,
                              capture_output=True, timeout=100).stdout

    def load(self, of):
        return self.server.metric(f"{LOAD}_{of}", model=VOICE)

    def test_only_the_first_request_waits_for_the_load(self):
        self.assertIn(VOICE.encode(), self.firstbyte("voices"))
        audio = self.firstbyte("say", "Good morning.", "--seed", "1", "--out", "-")
        first = self.server.line("request")
        self.assertGreater(first["model_load_ms"], 0)
        self.assertGreater(first["total_ms"], first["model_load_ms"])
        self.assertAlmostEqual(self.load("sum"), first["model_load_ms"] / 1e3, places=6)
        self.assertEqual(self.firstbyte("say", "Good morning.", "--seed", "1", "--out", "-"), audio)
        self.assertEqual(self.server.line("request")["model_load_ms"], 0)
        self.assertAlmostEqual(self.load("sum"), first["model_load_ms"] / 1e3, places=6)
        self.assertEqual(self.load("count"), 2)


if __name__ == "__main__":
    unittest.main()
