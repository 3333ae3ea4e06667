"""firstbyted --device cuda, with a plugin that emulates two GPUs: it is ready, plays and drains.

Run: python3 tests/rpc/gpu_server_test.py <firstbyted> <firstbyte> <libemulated_cuda_plugin.so>
"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.append(str(pathlib.Path(__file__).parents[1]))
from firstbyted import Firstbyted  # noqa: E402

FIRSTBYTED, FIRSTBYTE, PLUGIN = sys.argv.pop(1), sys.argv.pop(1), sys.argv.pop(1)
GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
WALK = "forward 3\nforward+turn_left 2\n"


def server(*flags):
    return Firstbyted(FIRSTBYTED, "--cuda-plugin", PLUGIN, "--models-dir", GOLDEN, "--models", "state_dit_tiny",
                      "--max-batch", "2", "--max-streams", "4", *flags)


def walk(target, seed="1"):
    """-> the film of a walk."""
    with tempfile.TemporaryDirectory() as folder:
        film = pathlib.Path(folder) / "walk.avi"
        subprocess.run([FIRSTBYTE, "play", "--script", "-", "--out", film, "--target", target,
                        "--seed", seed],
                       input=WALK, text=True, check=True, timeout=60, capture_output=True)
        return film.read_bytes()


class GpuServerTest(unittest.TestCase):

    def test_each_gpu_has_a_lane_and_says_what_it_holds(self):
        with server("--device", "cuda:1,0", "--dtype", "bf16") as gpus:
            self.assertEqual(gpus.ready["lanes"], 2)
            self.assertEqual(gpus.stop(), 0)
            gpus.log.seek(0)
            self.assertEqual([gpus.line("gpu")["gpu"] for _ in range(2)], [1, 0])
            for lane, gpu in enumerate((1, 0)):
                holds = gpus.line("model_on_gpu")
                self.assertEqual((holds["lane"], holds["gpu"], holds["dtype"]), (lane, gpu, "bf16"))
                self.assertEqual((holds["mode"], holds["buckets"], holds["slots"]), ("graph", [1, 2], 4))
                for number in ("slot_bytes", "bytes_besides", "free_bytes"):
                    self.assertGreater(holds[number], 0)

    def test_a_walk_is_the_same_in_graphs_and_without(self):
        with server("--device", "cuda") as graphs, server("--device", "cuda", "--mode", "eager") as eager:
            film = walk(graphs.target)
            self.assertGreater(len(film), 1000)
            self.assertEqual(walk(eager.target), film)
            self.assertNotEqual(walk(eager.target, seed="2"), film)
            self.assertEqual((graphs.stop(), eager.stop()), (0, 0))

    def test_a_lazy_world_is_loaded_onto_the_gpu(self):
        with server("--device", "cuda", "--lazy-models", "state_dit_tiny") as lazy:
            self.assertGreater(len(walk(lazy.target)), 1000)
            self.assertEqual(lazy.line("model_on_gpu")["model"], "tiny")


if __name__ == "__main__":
    unittest.main()
