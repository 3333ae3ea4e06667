"""The program firstbyted as an operator meets it: ready line, exit codes, signals, explained errors.

Run: python3 tests/rpc/firstbyted_test.py <firstbyted> <firstbyte> <libfake_cuda_plugin.so>
"""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

FIRSTBYTED, FIRSTBYTE, FAKE_CUDA = sys.argv.pop(1), sys.argv.pop(1), sys.argv.pop(1)
SCRIPTED = ["--models", "scripted,scripted-world", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
            "--log-format", "json"]
NOWHERE = ["--listen", "127.0.0.1:0", "--metrics-listen", "off", "--admin-listen", "off"]


def run(*flags):
    """Runs to the end; for command lines that do not serve."""
    return subprocess.run([FIRSTBYTED, *flags], capture_output=True, text=True, timeout=60, check=False)


class Server:
    """A firstbyted that has said it is ready."""

    def __init__(self, *flags):
        self.process = subprocess.Popen([FIRSTBYTED, *SCRIPTED, *flags], stderr=subprocess.PIPE, text=True)
        self.ready = self.wait_for("ready")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()

    def wait_for(self, event):
        for line in self.process.stderr:
            fields = json.loads(line)
            if fields.get("event") == event:
                return fields
        raise AssertionError(f"ended without saying {event}")

    def metric(self, series):
        """The value of a series, written as on the page; None when it is not there."""
        url = f"http://127.0.0.1:{self.ready['metrics_port']}/metrics"
        with urllib.request.urlopen(url, timeout=10) as page:
            found = re.search(rf"^{re.escape(series)} (\S+)$", page.read().decode(), re.M)
        return float(found.group(1)) if found else None

    def stop(self, number):
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


class FirstbytedTest(unittest.TestCase):

    def test_ready_line_names_the_ports(self):
        with Server("--metrics-listen", "127.0.0.1:0") as server:
            socket.create_connection(("127.0.0.1", server.ready["port"]), timeout=10).close()
            url = f"http://127.0.0.1:{server.ready['metrics_port']}/metrics"
            with urllib.request.urlopen(url, timeout=10) as page:
                self.assertIn(b"firstbyte_ready 1", page.read())

    def test_sigterm_and_sigint_drain_and_exit_with_0(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with Server("--metrics-listen", "off") as server:
                self.assertEqual(server.stop(number), 0)

    def test_sigterm_leaves_worlds_to_another_server(self):
        with tempfile.TemporaryDirectory() as folder:
            secret = pathlib.Path(folder) / "secret"
            secret.write_text("known to both servers\n")
            flags = ["--snapshot-dir", folder + "/worlds", "--token-secret-file", str(secret),
                     "--metrics-listen", "127.0.0.1:0"]
            with Server(*flags) as first, Server(*flags) as second:
                player = subprocess.Popen(
                    [FIRSTBYTE, "play", "--pacing", "realtime", "--script", "-",
                     "--target", f"127.0.0.1:{first.ready['port']}"],
                    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                player.stdin.write(b"wait 100000\n")
                player.stdin.close()
                while not first.metric('firstbyte_blocks_total{model="scripted-world"}'):
                    time.sleep(0.02)
                self.assertEqual(first.stop(signal.SIGTERM), 0)
                player.kill()
                player.wait()
                listed = subprocess.run(
                    [FIRSTBYTE, "sessions", "--target", f"127.0.0.1:{second.ready['port']}"],
                    capture_output=True, text=True, timeout=60, check=True).stdout
                self.assertEqual(listed.count("scripted-world"), 1, listed)
                self.assertIn("parked", listed)
                self.assertEqual(second.stop(signal.SIGTERM), 0)

    def test_a_second_signal_ends_a_drain_at_once(self):
        with Server("--metrics-listen", "off", "--lame-duck", "10m") as server:
            server.process.send_signal(signal.SIGTERM)
            server.wait_for("draining")
            self.assertEqual(server.stop(signal.SIGTERM), -signal.SIGTERM)

    def test_a_taken_port_is_explained(self):
        with Server("--metrics-listen", "127.0.0.1:0") as server:
            port = server.ready["port"]
            second = run(*SCRIPTED[:2], "--listen", f"127.0.0.1:{port}", "--metrics-listen", "off",
                         "--admin-listen", "off")
            self.assertEqual(second.returncode, 1)
            self.assertEqual(second.stderr, f"firstbyted: cannot listen on 127.0.0.1:{port}: "
                                            "the port is in use by another process\n")
            admin = run(*SCRIPTED[:2], *NOWHERE[:4], "--admin-listen", f"127.0.0.1:{server.ready['admin_port']}")
            self.assertEqual(admin.returncode, 1)
            self.assertIn("in use by another process (--admin-listen", admin.stderr)
            metrics = run(*SCRIPTED, "--metrics-listen", f"127.0.0.1:{server.ready['metrics_port']}")
            self.assertEqual(metrics.returncode, 1)
            self.assertIn(str(server.ready["metrics_port"]), metrics.stderr)

    def test_bad_command_lines_exit_with_2(self):
        typo = run("--lane", "2")
        self.assertEqual((typo.returncode, typo.stderr),
                         (2, "firstbyted: unexpected argument '--lane'; did you mean --lanes?\n"))
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("lanes: 1\nmax_laed: 4s\n")
            file.flush()
            bad = run("--config", file.name)
        self.assertEqual(bad.returncode, 2)
        self.assertIn(f"{file.name}:2: unknown key 'max_laed'; did you mean 'max_lead'?", bad.stderr)

    def test_a_gpu_that_cannot_be_used_is_explained_and_exits_with_2(self):
        for fake, device, plugin, words in (
                ("", "cuda", "/nowhere.so", "no CUDA plugin at /nowhere.so"),
                ("", "cuda", __file__, "the CUDA plugin cannot be loaded"),
                ("other-abi", "cuda", FAKE_CUDA, "this server wants"),
                ("no-driver", "cuda", FAKE_CUDA, "no NVIDIA driver"),
                ("", "cuda:1", FAKE_CUDA, "no GPU 1"),
                ("", "cuda:0", FAKE_CUDA, "no model runs on it yet")):
            with self.subTest(words=words):
                os.environ["FIRSTBYTE_FAKE_CUDA"] = fake
                refused = run("--device", device, "--cuda-plugin", plugin, *NOWHERE)
                self.assertEqual(refused.returncode, 2)
                self.assertRegex(refused.stderr, r"^firstbyted: .*--device cpu\n$")
                self.assertIn(words, refused.stderr)

    def test_a_missing_model_is_explained(self):
        missing = run("--models", "nobody", *NOWHERE)
        self.assertEqual(missing.returncode, 1)
        self.assertIn("nobody", missing.stderr)
        with tempfile.TemporaryDirectory() as empty:
            nothing = run("--models-dir", empty, *NOWHERE)
        self.assertEqual(nothing.returncode, 1)
        self.assertIn(f"no models in {empty}", nothing.stderr)

    def test_help_version_and_print_config(self):
        self.assertIn("Examples:", run("--help").stdout)
        self.assertRegex(run("--version").stdout, r"^firstbyted \d+\.\d+\.\d+\n$")
        printed = run("--lanes", "2", "--print-config").stdout
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(printed)
            file.flush()
            self.assertEqual(run("--config", file.name, "--print-config").stdout, printed)


if __name__ == "__main__":
    os.environ.pop("FIRSTBYTE_MODELS_DIR", None)
    unittest.main()
