"""The Prometheus rules: they parse, fire when they should, and name metrics that exist.

Run: python3 tests/deploy/rules_test.py <repository root>
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import tools

ROOT = pathlib.Path(sys.argv.pop(1)).resolve()
PROMETHEUS = ROOT / "deploy/prometheus"


def promtool(*arguments):
    return subprocess.run([tools.program("promtool"), *map(str, arguments)], capture_output=True,
                          text=True, check=False)


class Rules(unittest.TestCase):
    def assert_good(self, done):
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_files_are_what_the_generator_writes(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, PROMETHEUS / "generate.py", folder], check=True)
            for made in pathlib.Path(folder).iterdir():
                self.assertEqual((PROMETHEUS / made.name).read_text(), made.read_text(),
                                 "run python3 deploy/prometheus/generate.py")

    def test_they_parse(self):
        self.assert_good(promtool("check", "rules", PROMETHEUS / "rules.yaml"))

    def test_alerts_fire_on_what_they_are_for(self):
        with tempfile.TemporaryDirectory() as folder:
            for file in (PROMETHEUS / "rules.yaml", ROOT / "tests/deploy/rules_test.yaml"):
                shutil.copy(file, folder)
            self.assert_good(promtool("test", "rules", pathlib.Path(folder) / "rules_test.yaml"))

    def test_every_alert_has_a_case(self):
        cases = (ROOT / "tests/deploy/rules_test.yaml").read_text()
        for alert in re.findall(r"alert: (\w+)", (PROMETHEUS / "rules.yaml").read_text()):
            self.assertRegex(cases, rf"alertname: {alert}\n\s+eval_time: \w+\n\s+exp_alerts:\n")

    def test_they_name_metrics_and_bounds_that_exist(self):
        page = (ROOT / "docs/metrics.md").read_text()
        text = (PROMETHEUS / "rules.yaml").read_text()
        for name in set(re.findall(r"\bfirstbyte_\w+", text)):
            self.assertIn(f"`{re.sub('_(bucket|count|sum)$', '', name)}`", page)
        for bound in set(re.findall(r'le="([^"]+)"', text)):
            self.assertRegex(page, rf"`firstbyte_request_ttfb_seconds` \|.* {re.escape(bound)} ")
            self.assertNotEqual(float(bound) % 1, 0, "Prometheus 3 spells whole numbers otherwise")


if __name__ == "__main__":
    unittest.main()
