"""Holds the peers to the reference: same deeds, same pictures, alone and together.

    python -m unittest bench.peers.test_world_peers      (in the training environment)
"""

import json
import queue
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from bench.peers.world_engines import Batched, Player, Single
from tools.train.world.model import CONFIG, World
from tools.train.world.reference import Session, load

FRAMES = 16  # the ring wraps
DEEDS = [[[float(i % 3 == k) for k in range(6)] + [0.2 * n] for i in range(FRAMES)] for n in (0, 1)]


def silence(count):
    return torch.zeros(count, 16, 48), torch.zeros(count, 16), torch.zeros(count, 4)


def random_world(folder):
    torch.manual_seed(1)
    world = World(CONFIG)
    save_file({name: value.contiguous() for name, value in world.state_dict().items()},
              Path(folder) / "model.safetensors")
    (Path(folder) / "config.json").write_text(json.dumps(CONFIG))


def expected(folder, deeds):
    session = Session.__new__(Session)
    session._noise = lambda frame: silence(1)
    session.__init__(load(folder), [1], [""])
    return [session.step([deed]).picture[0].numpy() for deed in deeds]


def play(engine, all_deeds):
    """Plays them at the same time -> pictures of each."""
    engine.noise = silence
    players, outs = [], []
    for deeds in all_deeds:
        out = queue.Queue()
        player = Player(1, "", False, out.put)
        player.credit = FRAMES
        player.actions.extend((i + 1, deed) for i, deed in enumerate(deeds))
        players.append(player)
        outs.append(out)
    for player in players:
        assert engine.add(player)
    pictures = [[np.frombuffer(out.get(timeout=60)[2], np.uint8).reshape(64, 64, 3)
                 for _ in range(FRAMES)] for out in outs]
    for player, out in zip(players, outs):
        engine.tell(player, lambda p: setattr(p, "closing", True))
        assert out.get(timeout=60) is None
    return pictures


class WorldPeers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        random_world(cls.folder)
        cls.expected = [expected(cls.folder, deeds) for deeds in DEEDS]

    def check(self, engine):
        for _ in range(2):  # slots are used again
            for pictures, wanted in zip(play(engine, DEEDS), self.expected):
                for picture, want in zip(pictures, wanted):
                    self.assertLessEqual(np.abs(picture.astype(int) - want.astype(int)).max(), 1)

    def test_single_makes_the_pictures_of_the_reference(self):
        self.check(Single(self.folder, 2))

    def test_batched_makes_the_pictures_of_the_reference(self):
        self.check(Batched(self.folder, 2))

    def test_a_full_server_refuses(self):
        engine = Single(self.folder, 1)
        first = Player(1, "", False, lambda made: None)
        self.assertTrue(engine.add(first))
        self.assertFalse(engine.add(Player(1, "", False, lambda made: None)))

    def test_a_realtime_player_leaves_with_actions_under_way(self):
        engine = Single(self.folder, 1)
        out = queue.Queue()
        player = Player(1, "", True, out.put)
        player.credit = 0
        player.actions.append((1, DEEDS[0][0]))
        engine.add(player)
        engine.tell(player, lambda p: setattr(p, "closing", True))
        self.assertIsNone(out.get(timeout=60))


if __name__ == "__main__":
    unittest.main()
