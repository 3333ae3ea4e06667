"""The folder rules of DESIGN.md, read off the #include lines.

  1. A folder includes only folders listed for it in ALLOWED.
  2. Folders do not include each other in a circle.
  3. gRPC headers only in server/rpc, client, tests, bench; LibTorch only under model and its tests.
  4. No file sees both.

Run: python3 tests/structure/includes_test.py [repository root]
"""

import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else ".").resolve()
SOURCES = (".h", ".cc", ".cu", ".cuh")

# Longest prefix wins. A folder may always include itself.
ALLOWED = {
    "base": [],
    "metrics": ["base"],
    "codec": ["base"],
    "model": ["base"],
    "server/scheduler": ["base", "metrics", "codec", "model"],
    "server/stream": ["base", "metrics", "codec", "model", "server/scheduler"],
    "server/config": ["base"],
    "server/rpc": ["base", "metrics", "codec", "model", "server/scheduler", "server/stream",
                   "server/config", "proto"],
    "server": ["base", "metrics", "codec", "model", "server/scheduler", "server/stream",
               "server/config", "server/rpc", "proto"],
    "client": ["base", "codec", "metrics", "proto"],
    "bench": ["base", "metrics", "codec", "model", "server/scheduler", "server/stream", "server/rpc",
              "client", "proto"],
    "tools": ["base", "codec", "model", "metrics", "proto"],
    "tests": ["*"],
}
GRPC_FOLDERS = ("server/rpc", "client", "tests", "bench")
TORCH_FOLDERS = ("model", "tests/model", "tests/golden", "bench")
GRPC = re.compile(r"^(grpc|grpcpp)/|\.(grpc\.)?pb\.h$")
TORCH = re.compile(r"^(torch|ATen|c10)/")
INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', re.M)


def folder_of(path):
    """The rule folder a repository path belongs to, or None for system and generated headers."""
    if path.startswith("firstbyte/v1/") or path.startswith("google/rpc/"):
        return "proto"
    for folder in sorted(ALLOWED, key=len, reverse=True):
        if path.startswith(folder + "/"):
            return folder
    return None


def includes(root):
    """Yields (repository path of the file, included path)."""
    for folder in sorted({name.split("/")[0] for name in ALLOWED}):
        for file in sorted((root / folder).rglob("*")):
            if file.suffix in SOURCES:
                for included in INCLUDE.findall(file.read_text()):
                    yield str(file.relative_to(root)), included


def forbidden_edges(edges):
    for file, included in edges:
        source, target = folder_of(file), folder_of(included)
        if target in (None, source):
            continue
        allowed = ALLOWED.get(source, [])
        if "*" not in allowed and target not in allowed:
            yield f"{file} includes {included}: {source} may not include {target}"


def heavy_header_faults(edges):
    seen = {}
    for file, included in edges:
        for kind, pattern, folders in (("gRPC", GRPC, GRPC_FOLDERS), ("LibTorch", TORCH, TORCH_FOLDERS)):
            if not pattern.search(included):
                continue
            seen.setdefault(file, set()).add(kind)
            if not any(file.startswith(folder + "/") for folder in folders):
                yield f"{file} includes {included}: {kind} headers are not for this folder"
    for file, kinds in seen.items():
        if len(kinds) == 2:
            yield f"{file} sees both gRPC and LibTorch"


def cycle(edges):
    """A list of folders that include each other in a circle, or None. Folders are real ones here."""
    graph = {}
    for file, included in edges:
        source, target = str(pathlib.Path(file).parent), str(pathlib.Path(included).parent)
        if source != target and (ROOT / included).is_file() and not source.startswith("tests"):
            graph.setdefault(source, set()).add(target)
    state, stack = {}, []

    def visit(folder):
        state[folder] = "open"
        stack.append(folder)
        for target in sorted(graph.get(folder, ())):
            if state.get(target) == "open":
                return stack[stack.index(target):] + [target]
            if target not in state:
                found = visit(target)
                if found:
                    return found
        stack.pop()
        state[folder] = "done"
        return None

    for folder in sorted(graph):
        if folder not in state:
            found = visit(folder)
            if found:
                return found
    return None


class Includes(unittest.TestCase):
    def test_no_forbidden_edge(self):
        self.assertEqual(list(forbidden_edges(includes(ROOT))), [])

    def test_heavy_headers_stay_where_they_belong(self):
        self.assertEqual(list(heavy_header_faults(includes(ROOT))), [])

    def test_no_folder_cycle(self):
        self.assertIsNone(cycle(includes(ROOT)))

    def test_the_rules_can_fail(self):
        bad = [("base/error.h", "model/model.h")]
        self.assertEqual(len(list(forbidden_edges(bad))), 1)
        self.assertEqual(len(list(heavy_header_faults([("server/stream/x.cc", "grpcpp/grpcpp.h")]))), 1)
        self.assertEqual(len(list(heavy_header_faults([("server/rpc/x.cc", "ATen/ATen.h")]))), 1)
        both = [("bench/x.cc", "ATen/ATen.h"), ("bench/x.cc", "grpcpp/grpcpp.h")]
        self.assertEqual(len(list(heavy_header_faults(both))), 1)
        circle = [("base/error.cc", "model/model.h"), ("model/model.h", "base/error.h")]
        self.assertEqual(cycle(circle), ["base", "model", "base"])

    def test_something_was_read(self):
        self.assertGreater(len(list(includes(ROOT))), 100)


if __name__ == "__main__":
    unittest.main()
