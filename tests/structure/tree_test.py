"""House rules that a reader of the tree can check: sizes, names, links, leftovers.

Run: python3 tests/structure/tree_test.py [repository root]
"""

import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else ".").resolve()
MAX_SOURCE_LINES = 500
MAX_HEADER_LINES = 250
MAX_MODEL_BYTES = 24 << 20
VAGUE_NAMES = re.compile(r"(manager|helper|util|misc)s?(_|\.|$)", re.I)
HOME_PATH = re.compile(r"(?<![\w.])/(?:home|root|work)/\w")


def tracked():
    """Files of the repository; everything but build folders where git is not at hand."""
    try:
        names = subprocess.run(["git", "-C", str(ROOT), "ls-files"], check=True, text=True,
                               capture_output=True).stdout.split("\n")
        files = [ROOT / name for name in names if name]
    except (subprocess.CalledProcessError, FileNotFoundError):
        files = [f for f in ROOT.rglob("*") if not {"build", ".git"} & set(f.relative_to(ROOT).parts)]
    return [f for f in files if f.is_file()]


def is_source(file):
    return file.suffix in (".h", ".cc", ".cu", ".cuh")


class Tree(unittest.TestCase):
    def test_sources_stay_short(self):
        for file in filter(is_source, tracked()):
            limit = MAX_HEADER_LINES if file.suffix == ".h" else MAX_SOURCE_LINES
            lines = len(file.read_text().splitlines())
            with self.subTest(file=str(file.relative_to(ROOT))):
                self.assertLessEqual(lines, limit, "split it")

    def test_headers_have_a_guard_and_begin_with_their_purpose(self):
        for file in tracked():
            if file.suffix == ".h":
                text = file.read_text()
                with self.subTest(file=str(file.relative_to(ROOT))):
                    self.assertIn("#pragma once", text)
                    self.assertTrue(text.startswith("// "), "begin with what it is for")

    def test_names_say_something(self):
        for file in filter(is_source, tracked()):
            self.assertIsNone(VAGUE_NAMES.search(file.name), file)

    def test_no_machine_paths(self):
        for file in tracked():
            if file.suffix in (".safetensors", ".wav", ".png", ".mp4", ".bin", ".binpb"):
                continue
            if file.name == "tree_test.py":
                continue
            found = HOME_PATH.search(file.read_text(errors="replace"))
            self.assertIsNone(found, f"{file.relative_to(ROOT)}: {found and found.group()}")

    def test_links_in_documents_lead_somewhere(self):
        for file in tracked():
            if file.suffix != ".md":
                continue
            for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", file.read_text()):
                self.assertTrue((file.parent / link).exists(), f"{file.relative_to(ROOT)} -> {link}")

    def test_embedded_models_fit(self):
        total = sum(f.stat().st_size for f in tracked() if "models" in f.relative_to(ROOT).parts[:1])
        self.assertLessEqual(total, MAX_MODEL_BYTES)


if __name__ == "__main__":
    unittest.main()
