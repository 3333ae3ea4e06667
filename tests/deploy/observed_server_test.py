"""A real server, driven, scraped by a real Prometheus with our rules: every expression of every
panel and rule is answered with data.

Run: python3 tests/deploy/observed_server_test.py <repository root> <firstbyted> <firstbyte> <fake NVML>
"""

import json
import math
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

import yaml

import tools

sys.path.append(str(pathlib.Path(__file__).parents[1]))
from firstbyted import Firstbyted  # noqa: E402

ROOT, FIRSTBYTED, FIRSTBYTE = pathlib.Path(sys.argv.pop(1)).resolve(), sys.argv.pop(1), sys.argv.pop(1)
FAKE_NVML = sys.argv.pop(1)
PATIENCE = 120  # seconds until a question must have its answer
WALK = "W 6\nA+W 3\nwait 4\n"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def drive(target, stop, failures):
    """Speech and walks, one after the other, until `stop`."""
    while not stop.is_set():
        for command, given in ((["say", "One, two, three. " * 8, "--out", "-"], None),
                               (["play", "--script", "-", "--pacing", "realtime"], WALK),
                               (["play", "--script", "-"], WALK)):
            done = subprocess.run([FIRSTBYTE, "--target", target, *command], input=given,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
            if done.returncode:
                failures.append(f"{command}: {done.stderr}")


class Prometheus:
    def __init__(self, folder, target):
        self.url = f"http://127.0.0.1:{free_port()}"
        rules = yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text())
        for group in rules["groups"]:
            group["interval"] = "1s"
        (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
        config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.log = (folder / "log").open("w+")
        self.process = subprocess.Popen(
            [tools.program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address={self.url[7:]}"], stderr=self.log, stdout=self.log)

    def query(self, expression):
        """The samples, or the reason why it is no PromQL; None while Prometheus starts."""
        form = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/query?{form}", timeout=10) as answer:
                return json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            if error.code == 503:
                return None
            raise AssertionError(f"{expression}: {json.load(error)['error']}") from error
        except OSError:
            return None

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


def has_data(samples):
    return bool(samples) and any(not math.isnan(float(s["value"][1])) for s in samples)


def of_panel(expression):
    """As Grafana sends it."""
    return re.sub(r"\$\w+", ".*", expression.replace("$__rate_interval", "30s"))


def of_alert(expression):
    """Comparisons as 0 or 1, so that a healthy server answers, too."""
    return re.sub(r"(?<![=!~<>])(==|>|<)(?![=~])", r"\1 bool ", expression)


def expressions():
    found = {}
    for panel in tools.panels(ROOT):
        for target in panel["targets"]:
            found[f"{panel['title']}: {target['expr']}"] = of_panel(target["expr"])
    for group in yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            if "record" in rule:
                found[f"rule {rule['record']}"] = rule["record"]
            else:
                found[f"alert {rule['alert']}"] = of_alert(rule["expr"])
    return found


class ObservedServer(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        server = self.enterContext(Firstbyted(FIRSTBYTED, "--models", "scripted,scripted-world",
                                              "--nvml-library", FAKE_NVML))
        self.prometheus = Prometheus(pathlib.Path(folder.name), server.metrics)
        self.addCleanup(self.prometheus.stop)
        stop, self.failures = threading.Event(), []
        player = threading.Thread(target=drive, args=[server.target, stop, self.failures])
        player.start()
        self.addCleanup(player.join)
        self.addCleanup(stop.set)

    def test_every_panel_and_rule_has_data(self):
        waiting, deadline = expressions(), time.monotonic() + PATIENCE
        self.assertGreater(len(waiting), 60)
        while waiting and time.monotonic() < deadline:
            self.assertIsNone(self.prometheus.process.poll(), "Prometheus ended")
            waiting = {name: query for name, query in waiting.items()
                       if not has_data(self.prometheus.query(query))}
            time.sleep(0.5)
        self.assertEqual(sorted(waiting), [])
        self.assertEqual(self.failures, [])
        firing = [s["metric"]["alertname"] for s in self.prometheus.query('ALERTS{alertstate="firing"}')]
        self.assertFalse({"EngineStalled", "NotReady", "ServerDown", "NoCapacity"} & set(firing), firing)


if __name__ == "__main__":
    unittest.main()
