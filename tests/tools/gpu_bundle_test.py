"""The bundle for machines with a GPU, made from this build, unpacked and run on this machine.

Run: python3 tests/tools/gpu_bundle_test.py <repository root> <build folder> <LibTorch's folder>
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import unittest

ROOT, BUILD, TORCH = (pathlib.Path(sys.argv.pop(1)).resolve() for _ in range(3))
GPU_TESTS = ("aligned_mel_gpu_test", "cuda_gpu_test", "state_dit_gpu_test", "waypoint_gpu_test")
OF_THE_C_LIBRARY = re.compile(r"/(ld-linux-x86-64|lib(c|m|dl|rt|pthread|util|resolv|anl))\.so\.\d$")


def command(*words, **variables):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False,
                          env=dict(os.environ, **variables))


def has_plugin():
    return re.search(r"^FIRSTBYTE_CUDA:\w+=ON$", (BUILD / "CMakeCache.txt").read_text(), re.M) is not None


class Bundle(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(dir=BUILD)
        archive = pathlib.Path(cls.folder.name) / "bundle.tar.gz"
        cls.made = command(ROOT / "tools/gpu_bundle", "--build", BUILD, "--out", archive,
                           *([] if has_plugin() else ["--without-plugin"]))
        if cls.made.returncode != 0:
            raise AssertionError(cls.made.stdout + cls.made.stderr)
        with tarfile.open(archive) as tar:
            tar.extractall(cls.folder.name)
        archive.unlink()
        cls.bundle = pathlib.Path(cls.folder.name) / "firstbyte-gpu"

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_bundle(self, *flags):
        """-> the run, and {step: what is kept of it}"""
        with tempfile.TemporaryDirectory() as results:
            done = command(self.bundle / "run", results, "--torch", TORCH, "--quick", *flags)
            kept = json.loads((pathlib.Path(results) / "results.json").read_text())
            self.assertIn(kept["steps"][-1]["text"], (pathlib.Path(results) / "summary.txt").read_text())
        return done, {step["step"]: step for step in kept["steps"]}

    def test_its_programs_load_nothing_but_the_bundle_libtorch_and_the_c_library(self):
        files = [file for part in ("bin", "lib", "tests") for file in (self.bundle / part).rglob("*")
                 if file.is_file() and file.read_bytes()[:4] == b"\x7fELF"]
        self.assertGreater(len(files), 20)
        for file in files:
            rpath = re.findall(r"\((?:RPATH|RUNPATH)\).*\[(.*)\]", command("readelf", "-d", file).stdout)
            for place in filter(None, rpath):
                self.assertTrue(place.startswith("$ORIGIN") and ":" not in place, f"{file}: {place}")
            loaded = command("ldd", file, LD_LIBRARY_PATH=str(TORCH / "torch/lib")).stdout
            self.assertNotIn("not found", loaded, file)
            for path in re.findall(r"=> (\S+) \(", loaded):
                found = pathlib.Path(os.path.normpath(path))
                self.assertTrue(OF_THE_C_LIBRARY.search(path) or self.bundle in found.parents or TORCH in found.parents,
                                f"{file} loads {path}")

    def test_it_runs_and_says_in_a_line_what_there_was_no_gpu_for(self):
        done, steps = self.run_bundle()
        for name, step in steps.items():
            with self.subTest(step=name):
                if name in (*GPU_TESTS, "bench-shapes-decode", "cuda-server") and step["status"] == "skipped":
                    self.assertRegex(step["text"],
                                     r"^(no GPU to run the kernels on|firstbyte-bench|firstbyted): \w.*$")
                else:  # invalid: a load on a machine that was too busy to measure
                    self.assertIn(step["status"], ("passed", "invalid"), step["text"])
        self.assertLessEqual({*GPU_TESTS, "bench-shapes-decode", "cuda-server", "aligned_mel_emulated_test", "cuda_kernels_test",
                              "state_dit_emulated_test", "kernels_test",
                              "bench-kernels", "cpu-server", "cpu-speech-one", "cpu-world-one"}, set(steps))
        no_gpu = any(steps[name]["status"] == "skipped" for name in GPU_TESTS)
        self.assertEqual(done.returncode, 3 if no_gpu else 0, done.stdout + done.stderr)

    def test_a_step_that_fails_does_not_stop_the_next(self):
        broken = self.bundle / "tests/cuda_kernels_test"
        kept = broken.read_bytes()
        try:
            broken.write_text("#!/bin/sh\nexit 7\n")
            done, steps = self.run_bundle("--only", "tests")
        finally:
            broken.write_bytes(kept)
        self.assertEqual(steps["cuda_kernels_test"]["status"], "failed")
        self.assertIn("ended with 7", steps["cuda_kernels_test"]["text"])
        self.assertEqual(steps["kernels_test"]["status"], "passed")
        self.assertEqual(done.returncode, 1)

    def test_without_time_every_step_says_so(self):
        done, steps = self.run_bundle("--budget", "0")
        self.assertEqual({step["status"] for step in steps.values()}, {"not run"})
        self.assertEqual(done.returncode, 1)

    def test_what_is_missing_is_said_in_one_line(self):
        with tempfile.TemporaryDirectory() as empty:
            for words, line in (
                    ([self.bundle / "run", empty, "--torch", empty], "libtorch_cpu.so"),
                    ([self.bundle / "run", empty, "--python", "/bin/false"], "has no torch"),
                    ([ROOT / "tools/gpu_bundle", "--build", empty], "no build folder"),
                    ([ROOT / "tools/gpu_bundle", "--without-plugin"], "--build")):
                done = command(*words)
                with self.subTest(line=line):
                    self.assertEqual(done.returncode, 2)
                    self.assertIn(line, done.stderr)
                    self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_the_sizes_of_the_parts_are_printed(self):
        for part in ("bin/firstbyted", "share/firstbyte/models/aligned-mel-en", "unpacked", "bundle.tar.gz"):
            self.assertRegex(self.made.stdout, rf"\d+\.\d\d MB  .*{part}")


if __name__ == "__main__":
    unittest.main()
