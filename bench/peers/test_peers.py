"""The peers' streamed voice against the whole-utterance reference, and batched against alone.

    python -m unittest bench.peers.test_peers      (in the training environment)
"""

import tempfile
import unittest
import unittest.mock

import numpy as np
import torch

from bench.peers import voice as peer
from tools.train.voice.export import PHONES, export, random_model


def random_clause(seed, count):
    random = np.random.default_rng(seed)
    phones = random.integers(1, len(PHONES), count)
    phones[0] = phones[-1] = PHONES.index("pau")
    return phones.astype(np.int64), random.random((count, 28), np.float32)


class StreamedVoice(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        torch.set_num_threads(1)
        cls.folder = tempfile.mkdtemp()
        export(random_model(), cls.folder)

    def setUp(self):
        self.streaming = peer.StreamingVoice(self.folder, slots=3)
        # Both sides draw no noise, so that they can be compared sample by sample.
        self.silence = unittest.mock.patch("torch.rand", lambda *shape: torch.full(shape, 0.5))
        self.silence.start()
        self.addCleanup(self.silence.stop)

    def acoustic(self, slots, clauses):
        """Features of each clause, all slots stepped together while they last."""
        conditions = [self.streaming.conditions(*clause, True, 1.0) for clause in clauses]
        for slot in slots:
            self.streaming.acoustic.start_clause(slot)
        parts = [[] for _ in slots]
        for i in range(max(len(c) for c in conditions)):
            alive = [n for n, c in enumerate(conditions) if i < len(c)]
            out = self.streaming.acoustic.step([slots[n] for n in alive],
                                               torch.stack([conditions[n][i] for n in alive]))
            for n, features in zip(alive, out):
                parts[n].append(features)
        return [torch.stack(p).reshape(-1, 82) for p in parts]

    def whole(self, clause):
        ends = self.streaming.voice.ends(*clause, 1.0, True)
        return self.streaming.voice.acoustic(*clause, ends, 1.0)

    @torch.inference_mode()
    def test_acoustic_batched_agrees_with_the_reference(self):
        clauses = [random_clause(seed, 8 * seed) for seed in (1, 2, 3)]
        for features, clause in zip(self.acoustic([2, 0, 1], clauses), clauses):
            np.testing.assert_allclose(features, self.whole(clause), atol=1e-4)

    @torch.inference_mode()
    def test_vocoder_in_pieces_agrees_with_the_reference(self):
        features = self.whole(random_clause(5, 20))
        vocoder, config = self.streaming.vocoder, self.streaming.config
        for slot, sizes in ((1, [4, 4, 8, 16, 4]), (2, [8, 40])):
            vocoder.start_stream(slot)
            parts, at = [], 0
            for size in sizes + [len(features)]:
                piece = features[at:at + size]
                at += len(piece)
                if len(piece):
                    parts.append(vocoder.push([slot], piece[None])[0])
            streamed = torch.cat(parts + [vocoder.finish(slot)])
            self.assertEqual(len(parts[0]), sizes[0] * 160 - 160 - 80)
            expected = self.reference_samples(features, config)
            self.assertEqual(len(streamed), len(expected))
            np.testing.assert_allclose(streamed, expected, atol=2e-4)

    def reference_samples(self, features, config):
        from tools.train.voice.reference import pulse_train
        features = features.clone()
        features[:, 81] = (features[:, 81] > 0.5).float()
        model = self.streaming.voice.model
        log_f0 = (features[:, 80] * model.stats_std[80] + model.stats_mean[80]).numpy()
        pulses = torch.as_tensor(pulse_train(log_f0, features[:, 81].numpy(), config))
        noise = torch.zeros(len(pulses))
        return model.vocoder(features[None], pulses[None], noise[None])[0]


if __name__ == "__main__":
    unittest.main()
