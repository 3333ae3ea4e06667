"""The program firstbyted as an operator meets it: ready line, exit codes, signals, explained errors.

Run: python3 tests/rpc/firstbyted_test.py <firstbyted> <firstbyte> <libfake_cuda_plugin.so>
"""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.append(str(pathlib.Path(__file__).parents[1]))
from firstbyted import Firstbyted  # noqa: E402

FIRSTBYTED, FIRSTBYTE, FAKE_CUDA = sys.argv.pop(1), sys.argv.pop(1), sys.argv.pop(1)
SCRIPTED = ["--models", "scripted,scripted-world"]
NOWHERE = ["--listen", "127.0.0.1:0", "--metrics-listen", "off", "--admin-listen", "off"]


def run(*flags):
    """Runs to the end; for command lines that do not serve."""
    return subprocess.run([FIRSTBYTED, *flags], capture_output=True, text=True, timeout=60, check=False)


def scripted(*flags):
    return Firstbyted(FIRSTBYTED, *SCRIPTED, *flags)


class FirstbytedTest(unittest.TestCase):

    def test_ready_line_names_the_ports(self):
        with scripted() as server:
            for port in ("port", "admin_port"):
                socket.create_connection(("127.0.0.1", server.ready[port]), timeout=10).close()
            self.assertEqual(server.metric("firstbyte_ready"), 1)

    def test_sigterm_and_sigint_drain_and_exit_with_0(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with scripted() as server:
                self.assertEqual(server.stop(number), 0)
                self.assertEqual(server.line("draining")["streams"], 0)
                self.assertTrue(server.line("drained"))

    def test_sigterm_leaves_worlds_to_another_server(self):
        with tempfile.TemporaryDirectory() as folder:
            secret = pathlib.Path(folder) / "secret"
            secret.write_text("known to both servers\n")
            flags = ["--snapshot-dir", folder + "/worlds", "--token-secret-file", str(secret)]
            with scripted(*flags) as first, scripted(*flags) as second:
                player = subprocess.Popen(
                    [FIRSTBYTE, "play", "--pacing", "realtime", "--script", "-", "--target", first.target],
                    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                player.stdin.write(b"wait 100000\n")
                player.stdin.close()
                first.wait_for("to make a block", lambda: first.metric("firstbyte_blocks_total"))
                self.assertEqual(first.stop(signal.SIGTERM), 0)
                player.kill()
                player.wait()
                listed = subprocess.run(
                    [FIRSTBYTE, "sessions", "--target", second.target],
                    capture_output=True, text=True, timeout=60, check=True).stdout
                self.assertEqual(listed.count("scripted-world"), 1, listed)
                self.assertIn("parked", listed)
                self.assertEqual(second.stop(signal.SIGTERM), 0)

    def test_a_second_signal_ends_a_drain_at_once(self):
        with scripted("--lame-duck", "10m") as server:
            server.process.send_signal(signal.SIGTERM)
            server.line("draining")
            self.assertEqual(server.stop(signal.SIGTERM), -signal.SIGTERM)

    def test_a_taken_port_is_explained(self):
        def second(listen="127.0.0.1:0", metrics="off", admin="off"):
            return run(*SCRIPTED, "--listen", listen, "--metrics-listen", metrics, "--admin-listen", admin)

        with scripted() as first:
            listen = second(listen=first.target)
            self.assertEqual(listen.returncode, 1)
            self.assertEqual(listen.stderr, f"firstbyted: cannot listen on {first.target}: "
                                            "the port is in use by another process\n")
            admin = second(admin=first.admin)
            self.assertEqual(admin.returncode, 1)
            self.assertIn("in use by another process (--admin-listen", admin.stderr)
            metrics = second(metrics=first.metrics)
            self.assertEqual(metrics.returncode, 1)
            self.assertIn(first.metrics, metrics.stderr)

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
                ("", "cuda:1", FAKE_CUDA, "no GPU 1")):
            with self.subTest(words=words):
                os.environ["FIRSTBYTE_FAKE_CUDA"] = fake
                refused = run("--device", device, "--cuda-plugin", plugin, *NOWHERE)
                self.assertEqual(refused.returncode, 2)
                self.assertRegex(refused.stderr, r"^firstbyted: .*--device cpu\n$")
                self.assertIn(words, refused.stderr)

    def test_what_does_not_run_on_a_device_is_refused_by_name(self):
        os.environ["FIRSTBYTE_FAKE_CUDA"] = ""
        gpu = ("--device", "cuda", "--cuda-plugin", FAKE_CUDA, *NOWHERE)
        scripted = run("--models", "scripted", *gpu)
        self.assertEqual(scripted.returncode, 1)
        self.assertIn("scripted models do not run on a GPU", scripted.stderr)
        cpu = run("--dtype", "bf16", *NOWHERE)
        self.assertEqual((cpu.returncode, cpu.stderr),
                         (2, "firstbyted: on the CPU models run in fp32, not in bf16: "
                             "leave --dtype out, or use --device cuda\n"))

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
