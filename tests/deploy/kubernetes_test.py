"""deploy/kubernetes and deploy/compose: rendered, valid, and in agreement with the real server.

Run: python3 tests/deploy/kubernetes_test.py <repository root> [<firstbyted>]
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.request

import yaml

import kustomize
import tools

sys.path.insert(0, str(tools.CACHE / "kubernetes-validate"))
import kubernetes_validate  # noqa: E402
sys.path.append(str(pathlib.Path(__file__).parents[1]))
from firstbyted import Firstbyted  # noqa: E402

ROOT, FIRSTBYTED = pathlib.Path(sys.argv.pop(1)).resolve(), sys.argv.pop(1)
KUBERNETES, COMPOSE = ROOT / "deploy/kubernetes", ROOT / "deploy/compose"
VERSION = "1.31"
CUSTOM = {"ServiceMonitor", "PrometheusRule"}  # have no schema of Kubernetes' own
KINDS = ["ConfigMap", "ConfigMap", "Deployment", "HorizontalPodAutoscaler", "Namespace",
         "PodDisruptionBudget", "PrometheusRule", "Service", "ServiceAccount", "ServiceMonitor"]


def rendered(overlay):
    return kustomize.render(KUBERNETES / "overlays" / overlay)


def one(resources, kind, name="firstbyte"):
    found = [r for r in resources if r["kind"] == kind and r["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} {kind} {name}"
    return found[0]


def seconds(duration):
    return sum(float(n) * {"h": 3600, "m": 60, "s": 1}[u] for n, u in re.findall(r"([\d.]+)([hms])", duration))


class Kubernetes(unittest.TestCase):
    def setUp(self):
        self.resources = rendered("cpu")
        self.pod = one(self.resources, "Deployment")["spec"]["template"]["spec"]
        self.container = self.pod["containers"][0]
        self.config_text = one(self.resources, "ConfigMap", "firstbyte-config")["data"]["firstbyted.yaml"]
        self.config = yaml.safe_load(self.config_text)

    def test_every_resource_is_valid(self):
        for overlay in ("cpu", "gpu"):
            resources = rendered(overlay)
            self.assertEqual(sorted(r["kind"] for r in resources), KINDS)
            for resource in resources:
                if resource["kind"] not in CUSTOM:
                    kubernetes_validate.validate(resource, VERSION, strict=True)

    def test_kubectl_renders_the_same(self):
        kubectl = shutil.which("kubectl")
        if not kubectl:
            self.skipTest("no kubectl")
        for overlay in ("cpu", "gpu"):
            done = subprocess.run([kubectl, "kustomize", KUBERNETES / "overlays" / overlay],
                                  capture_output=True, text=True, check=False)
            if done.returncode:
                self.skipTest("kubectl's kustomize is too old: " + done.stderr)
            theirs = {kustomize.identity(r): r for r in yaml.safe_load_all(done.stdout)}
            ours = {kustomize.identity(r): r for r in rendered(overlay)}
            self.assertEqual(ours, theirs)

    def test_the_server_accepts_the_configuration(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(self.config_text)
            file.flush()
            done = subprocess.run([FIRSTBYTED, "--config", file.name, "--print-config"], capture_output=True,
                                  text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(yaml.safe_load(done.stdout)["listen"], self.config["listen"])

    def test_the_configuration_is_where_the_server_looks(self):
        config = self.container["args"][self.container["args"].index("--config") + 1]
        mount = next(m for m in self.container["volumeMounts"] if m["name"] == "config")
        volume = next(v for v in self.pod["volumes"] if v["name"] == "config")
        one(self.resources, "ConfigMap", volume["configMap"]["name"])
        self.assertEqual(config, mount["mountPath"] + "/firstbyted.yaml")

    def test_ports_agree(self):
        ports = {p["name"]: p["containerPort"] for p in self.container["ports"]}
        self.assertEqual(self.config["listen"], f"0.0.0.0:{ports['grpc']}")
        self.assertEqual(self.config["metrics_listen"], f"0.0.0.0:{ports['metrics']}")
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            self.assertEqual(self.container[probe]["grpc"]["port"], ports["grpc"])
        service = one(self.resources, "Service")["spec"]["ports"]
        for port in service:
            self.assertEqual((port["targetPort"], port["port"]), (port["name"], ports[port["name"]]))
        endpoint = one(self.resources, "ServiceMonitor")["spec"]["endpoints"][0]
        self.assertIn(endpoint["port"], [p["name"] for p in service])
        self.assertIn("EXPOSE {grpc} {metrics}\n".format(**ports), (ROOT / "Dockerfile").read_text())

    def test_selectors_meet_their_pods_and_services(self):
        labels = one(self.resources, "Deployment")["spec"]["template"]["metadata"]["labels"]
        for kind in ("Deployment", "PodDisruptionBudget"):
            self.assertEqual(one(self.resources, kind)["spec"]["selector"]["matchLabels"], labels)
        self.assertEqual(one(self.resources, "Service")["spec"]["selector"], labels)
        monitored = one(self.resources, "ServiceMonitor")["spec"]["selector"]["matchLabels"]
        self.assertEqual(one(self.resources, "Service")["metadata"]["labels"], monitored)
        self.assertEqual(one(self.resources, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"],
                         one(self.resources, "Deployment")["metadata"]["name"])

    def test_a_drain_ends_before_the_kill(self):
        drain = seconds(self.config["lame_duck"]) + seconds(self.config["drain_timeout"])
        self.assertEqual(self.pod["terminationGracePeriodSeconds"], drain + 10)
        liveness = self.container["livenessProbe"]
        self.assertGreater(liveness["failureThreshold"] * liveness["periodSeconds"], drain)

    def test_the_pod_may_do_nothing_it_need_not(self):
        security = self.container["securityContext"]
        self.assertEqual((security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"],
                          security["capabilities"]), (False, True, {"drop": ["ALL"]}))
        self.assertTrue(self.pod["securityContext"]["runAsNonRoot"])
        self.assertIn(f"USER {self.pod['securityContext']['runAsUser']}:", (ROOT / "Dockerfile").read_text())

    def test_only_the_gpu_overlay_asks_for_a_gpu(self):
        gpu = one(rendered("gpu"), "Deployment")["spec"]["template"]["spec"]["containers"][0]
        self.assertEqual(gpu["resources"]["limits"]["nvidia.com/gpu"], "1")
        self.assertNotIn("nvidia.com/gpu", self.container["resources"]["limits"])

    def test_rules_and_dashboard_are_those_of_the_repository(self):
        rules = yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text())
        self.assertEqual(one(self.resources, "PrometheusRule")["spec"], rules)
        board = one(self.resources, "ConfigMap", "firstbyte-dashboard")
        self.assertEqual(board["metadata"]["labels"], {"grafana_dashboard": "1"})
        self.assertEqual(json.loads(board["data"]["firstbyte.json"])["uid"], "firstbyte")

    def test_the_real_server_exports_what_is_scraped_and_scaled_on(self):
        metric = one(self.resources, "HorizontalPodAutoscaler")["spec"]["metrics"][0]["pods"]["metric"]["name"]
        path = one(self.resources, "ServiceMonitor")["spec"]["endpoints"][0]["path"]
        with Firstbyted(FIRSTBYTED, "--models", "scripted") as server:
            with urllib.request.urlopen(f"http://{server.metrics}{path}", timeout=30) as page:
                self.assertIn(f"\n{metric}{{", page.read().decode())


class Compose(unittest.TestCase):
    def setUp(self):
        self.services = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]

    def test_what_is_mounted_exists(self):
        for service in self.services.values():
            for volume in service.get("volumes", []):
                self.assertTrue((COMPOSE / volume.split(":")[0]).exists(), volume)

    def test_prometheus_scrapes_the_server_and_grafana_asks_prometheus(self):
        scrape = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"][0]
        host, port = scrape["static_configs"][0]["targets"][0].split(":")
        command = self.services[host]["command"]
        self.assertEqual(command[command.index("--metrics-listen") + 1], f"0.0.0.0:{port}")
        source = yaml.safe_load((COMPOSE / "grafana-provisioning/datasources/prometheus.yaml").read_text())
        self.assertEqual(source["datasources"][0]["url"], "http://prometheus:9090")
        self.assertIn("prometheus", self.services)

    def test_the_server_accepts_its_flags(self):
        done = subprocess.run([FIRSTBYTED, *self.services["firstbyted"]["command"], "--print-config"],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
