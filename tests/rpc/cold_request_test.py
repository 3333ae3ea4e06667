"""The embedded voice, loaded by the first request that names it: what that request and /metrics say.

Run: python3 tests/rpc/cold_request_test.py <firstbyted> <firstbyte>
"""

import json
import re
import subprocess
import sys
import unittest
import urllib.request

FIRSTBYTED, FIRSTBYTE = sys.argv.pop(1), sys.argv.pop(1)
VOICE = "aligned-mel-en"
LOAD = "firstbyte_request_model_load_seconds"


class ColdRequest(unittest.TestCase):
    def setUp(self):
        self.server = subprocess.Popen(
            [FIRSTBYTED, "--models", VOICE, "--lazy-models", VOICE, "--listen", "127.0.0.1:0", "--metrics-listen",
             "127.0.0.1:0", "--log-format", "json"], stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.stop)
        self.ready = self.line("ready")

    def stop(self):
        self.server.kill()
        self.server.wait()
        self.server.stderr.close()

    def line(self, event):
        return next(fields for fields in map(json.loads, self.server.stderr) if fields["event"] == event)

    def firstbyte(self, *arguments):
        return subprocess.run([FIRSTBYTE, "--target", f"127.0.0.1:{self.ready['port']}", *arguments], check=True,
                              capture_output=True, timeout=100).stdout

    def load(self, of):
        url = f"http://127.0.0.1:{self.ready['metrics_port']}/metrics"
        with urllib.request.urlopen(url, timeout=10) as page:
            found = re.findall(rf'^{LOAD}_{of}\{{.*model="{VOICE}"\}} (\S+)$', page.read().decode(), re.M)
        return sum(map(float, found))

    def test_only_the_first_request_waits_for_the_load(self):
        self.assertIn(VOICE.encode(), self.firstbyte("voices"))
        audio = self.firstbyte("say", "Good morning.", "--seed", "1", "--out", "-")
        first = self.line("request")
        self.assertGreater(first["model_load_ms"], 0)
        self.assertGreater(first["total_ms"], first["model_load_ms"])
        self.assertAlmostEqual(self.load("sum"), first["model_load_ms"] / 1e3, places=6)
        self.assertEqual(self.firstbyte("say", "Good morning.", "--seed", "1", "--out", "-"), audio)
        self.assertEqual(self.line("request")["model_load_ms"], 0)
        self.assertAlmostEqual(self.load("sum"), first["model_load_ms"] / 1e3, places=6)
        self.assertEqual(self.load("count"), 2)


if __name__ == "__main__":
    unittest.main()
