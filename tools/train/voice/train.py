"""Trains and exports the aligned-mel voice, from nothing:

    python -m tools.train.voice.train [--dump build/release/bin/dump_features]

Stages: corpus -> teacher speech (dump_features) -> durations -> vocoder -> acoustic model -> the
vocoder's last part on mels as the acoustic model predicts them -> export. Each leaves its result in
the cache folder and is skipped when that is there; an interrupted stage goes on from its
checkpoint.
"""

import argparse
import pickle
import random
import subprocess
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from tools.train.voice import corpus
from tools.train.voice.export import PHONES, export
from tools.train.voice.features import (BANK, FFT, SCALE, WINDOW, condition, read_utterances,
                                        statistics)
from tools.train.voice.loop import Loop, averaged
from tools.train.voice.model import (CONFIG, FEATURES, LOG_F0, MELS, STACK, VOICING, AlignedMel,
                                     init_weights)
from tools.train.voice.reference import pulse_train

CACHE = Path("~/.cache/firstbyte/train-voice").expanduser()
SHARDS = 4
PHONE_IDS = {name: index for index, name in enumerate(PHONES)}


# --- data ---------------------------------------------------------------------------------------

def speak_corpus(dump, sentences):
    """Has the teacher speak the corpus: train-0.bin .. and heldout.bin."""
    train, held_out = corpus.make_corpus()
    train = train[:sentences]
    size = len(train) // SHARDS + 1
    jobs = [("heldout", held_out, ["--natural-speed"])]
    jobs += [(f"train-{i}", train[i * size:(i + 1) * size], ["--seed", str(i + 1)])
             for i in range(SHARDS)]
    for name, texts, flags in jobs:
        target = CACHE / f"{name}.bin"
        if target.exists():
            continue
        print(f"speaking {name}: {len(texts)} sentences", flush=True)
        temporary = target.with_suffix(".tmp")
        subprocess.run([dump, "--out", temporary, *flags], input="\n".join(texts) + "\n", text=True,
                       check=True)
        temporary.rename(target)


def load(name):
    """The utterances of NAME.bin, with features; kept in NAME.pkl. Held-out ones are left whole."""
    cached = CACHE / f"{name}.pkl"
    if not cached.exists():
        utterances = read_utterances(CACHE / f"{name}.bin", PHONE_IDS, name != "heldout")
        temporary = cached.with_suffix(".tmp")
        temporary.write_bytes(pickle.dumps(utterances, protocol=5))
        temporary.rename(cached)
    return pickle.loads(cached.read_bytes())


def load_training(shards=range(SHARDS)):
    """All shards that have been spoken."""
    names = [f"train-{i}" for i in shards if (CACHE / f"train-{i}.bin").exists()]
    return [utterance for name in names for utterance in load(name)]


def set_statistics(model):
    """Normalisation comes from the first shard; kept in statistics.npy."""
    path = CACHE / "statistics.npy"
    if not path.exists():
        np.save(path, np.stack(statistics(load("train-0"))))
    mean, std = np.load(path)
    model.stats_mean.copy_(torch.as_tensor(mean))
    model.stats_std.copy_(torch.as_tensor(std))


# --- durations ----------------------------------------------------------------------------------

def duration_examples(model, utterances):
    """-> phone windows [P, 7], flags and numbers [P, 142], targets log(d / 5) [P]."""
    parts = []
    for u in utterances:
        context = model.duration.context(torch.as_tensor(u.phones.astype(np.int64)),
                                         torch.as_tensor(u.flags.astype(np.float32)))
        frames = np.maximum(np.diff(u.seconds, prepend=0) * 100 / u.stretch, 0.5)
        parts.append((*context, torch.as_tensor(np.log(frames / 5), dtype=torch.float32)))
    return [torch.cat(column) for column in zip(*parts)]


def train_durations(model, minutes):
    data = duration_examples(model, load_training())
    held = duration_examples(model, load("heldout"))
    generator = torch.Generator().manual_seed(5)

    def batches():
        while True:
            for index in torch.randperm(len(data[2]), generator=generator).split(512):
                yield [column[index] for column in data], len(index)

    def loss(batch):
        return F.l1_loss(model.duration(batch[0], batch[1]), batch[2])

    def evaluate():
        predicted = model.duration(held[0], held[1]).exp() * 5
        return {"held-out MAE ms": 10 * F.l1_loss(predicted, held[2].exp() * 5).item()}

    Loop("durations", model.duration, CACHE, minutes, warm_up=20).run(batches, loss, evaluate, 15)


# --- acoustic model -----------------------------------------------------------------------------

class AcousticData:
    """Utterances as padded batches. Z-scores on the way."""

    def __init__(self, model, utterances):
        self.mean, self.std = model.stats_mean.numpy(), model.stats_std.numpy()
        self.utterances = utterances

    def batch(self, members):
        """-> phones [B, T, 4], flags [B, T, 56], numbers [B, T, 5], target [B, L, 328],
        mask [B, L]."""
        length = max(len(u.features) for u in members)
        columns = [[], [], [], [], []]
        for u in members:
            count = len(u.features)
            rows = [*condition(u.phones.astype(np.int64), u.flags, u.ends, u.stretch),
                    (u.features - self.mean) / self.std, np.ones(count, np.float32)]
            for column, row in zip(columns, rows):
                pad = [(0, length - count)] + [(0, 0)] * (row.ndim - 1)
                column.append(torch.as_tensor(np.pad(row, pad)))
        phones, flags, numbers, target, mask = (torch.stack(column) for column in columns)
        target = target.reshape(len(members), length // STACK, STACK * FEATURES)
        return phones, flags, numbers, target, mask[:, ::STACK]

    def epochs(self, frames=1400, seed=0):
        """Batches of about `frames` frames and similar lengths, for ever."""
        rng = random.Random(seed)
        while True:
            order = list(self.utterances)
            rng.shuffle(order)
            batches = []
            for i in range(0, len(order), 500):
                ordered = sorted(order[i:i + 500], key=lambda u: len(u.features))
                batches += self._cut(ordered, frames)
            rng.shuffle(batches)
            for members in batches:
                yield self.batch(members), sum(len(u.features) for u in members) // STACK

    @staticmethod
    def _cut(ordered, frames):
        batches, members = [], []
        for u in ordered:
            if members and (len(members) + 1) * len(u.features) > frames * STACK:
                batches.append(members)
                members = []
            members.append(u)
        return batches + [members]


def corrupt(feedback):
    """Noise on the teacher-forced feedback, so that the model bears its own mistakes."""
    batch, length, size = feedback.shape
    strength = 0.4 * torch.rand(batch, 1, 1)
    shared = torch.randn(batch, length, 1, FEATURES).expand(-1, -1, STACK, -1)
    noisy = feedback + strength * torch.randn_like(feedback)
    noisy = noisy + strength / 2 * shared.reshape(batch, length, size)
    keep = (torch.rand(batch, length, 1) > 0.08) & (torch.rand(batch, 1, 1) > 0.04)
    return noisy * keep


def shifted(target):  # [B, L, 328] -> the frame before each, zeros first
    return F.pad(target, (0, 0, 1, 0))[:, :-1]


LOSS_WEIGHT = torch.ones(FEATURES)
LOSS_WEIGHT[MELS:] = 4
LOSS_WEIGHT = (LOSS_WEIGHT / LOSS_WEIGHT.mean()).repeat(STACK)


def frame_loss(predicted, target, mask):
    error = ((predicted.float() - target).abs() * LOSS_WEIGHT).mean(-1)
    return (error * mask).sum() / mask.sum()


def free_running(acoustic, phones, flags, numbers):
    """-> [B, L, 328]"""
    conditions = acoustic.conditioner(phones, flags, numbers)
    feedback, caches, frames = torch.zeros(len(phones), 1, STACK * FEATURES), None, []
    for i in range(conditions.shape[1]):
        feedback, caches = acoustic(conditions[:, i:i + 1], feedback, i, caches)
        frames.append(feedback)
    return torch.cat(frames, 1)


def train_acoustic(model, minutes, bf16):
    acoustic = model.acoustic
    data = AcousticData(model, load_training())
    held = sorted(load("heldout"), key=lambda u: len(u.features))[150:182]
    *inputs, target, mask = AcousticData(model, held).batch(held)

    def loss(batch):
        phones, flags, numbers, target, mask = batch
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            conditions = acoustic.conditioner(phones, flags, numbers)
            predicted, _ = acoustic(conditions, corrupt(shifted(target)))
        return frame_loss(predicted, target, mask)

    def evaluate():
        forced, _ = acoustic(acoustic.conditioner(*inputs), shifted(target))
        free = free_running(acoustic, *inputs)
        return {"teacher-forced L1": frame_loss(forced, target, mask).item(),
                "free-running L1": frame_loss(free, target, mask).item()}

    loop = Loop("acoustic", acoustic, CACHE, minutes, decay=0.03)
    loop.run(lambda: data.epochs(seed=loop.steps), loss, evaluate)


# --- vocoder ------------------------------------------------------------------------------------

MEL_BANK = torch.as_tensor(BANK)
CROP = 80  # mel frames: 0.8 s


def spectrum(wave, fft, hop, window):
    """[B, samples] -> magnitudes [B, bins, frames]"""
    return torch.stft(wave, fft, hop, window, torch.hann_window(window), return_complex=True).abs()


def vocoder_loss(output, target):
    """Multi-resolution STFT (log magnitude and spectral convergence) and log-mel."""
    total = 0.0
    for fft in (256, 512, 1024):
        y, w = spectrum(output, fft, fft // 4, fft), spectrum(target, fft, fft // 4, fft)
        total = total + ((y + 1e-3).log() - (w + 1e-3).log()).abs().mean() / 3
        total = total + (torch.linalg.norm(y - w) / torch.linalg.norm(w)) / 3
    mels = [(spectrum(x, FFT, 160, WINDOW).transpose(1, 2) @ MEL_BANK + 1e-4).log()
            for x in (output, target)]
    return total + (mels[0] - mels[1]).abs().mean()


def crops(model, pool, rng, count=10):
    """pool: (utterance, features [T, 82] z-scored) -> features [B, 80, 82], pulses, target."""
    columns = [[], [], []]
    mean, std = model.stats_mean[LOG_F0].item(), model.stats_std[LOG_F0].item()
    while len(columns[0]) < count:
        utterance, features = rng.choice(pool)
        if len(features) < CROP:
            continue
        start = rng.randrange(len(features) - CROP + 1)
        part = features[start:start + CROP]
        pulses = pulse_train(part[:, LOG_F0] * std + mean, part[:, VOICING], CONFIG)
        wave = utterance.wave[160 * start:160 * (start + CROP)].astype(np.float32) / SCALE
        for column, row in zip(columns, (part, pulses, wave)):
            column.append(torch.as_tensor(row))
    return [torch.stack(column) for column in columns]


def normalised(model, utterances):
    mean, std = model.stats_mean.numpy(), model.stats_std.numpy()
    return [(u, ((u.features - mean) / std).astype(np.float32)) for u in utterances]


@torch.inference_mode()
def predicted_pool(model, utterances):
    """Features with the mels that the acoustic model predicts teacher-forced; F0 and voicing true,
    so that the harmonics stay aligned with the target wave."""
    data, pool = AcousticData(model, utterances), []
    for u in utterances:
        *inputs, target, _ = data.batch([u])
        predicted, _ = model.acoustic(model.acoustic.conditioner(*inputs), shifted(target))
        features = predicted.reshape(-1, FEATURES)
        features[:, MELS:] = target.reshape(-1, FEATURES)[:, MELS:]
        pool.append((u, features.numpy()))
    return pool


def train_vocoder(model, name, minutes, rate, predicted_share=0.0):
    pool = normalised(model, load_training(range(2)))
    predicted = predicted_pool(model, [u for u, _ in pool[:1500]]) if predicted_share else None
    rng = random.Random(name)
    held = crops(model, normalised(model, load("heldout")), random.Random(1), 32)

    def batches():
        while True:
            use_predicted = predicted and rng.random() < predicted_share
            yield crops(model, predicted if use_predicted else pool, rng), 10

    def loss(batch):
        features, pulses, target = batch
        noise = (2 * torch.rand_like(target) - 1) * 3 ** 0.5
        # The net's first inputs lack their past here: those samples do not count.
        return vocoder_loss(model.vocoder(features, pulses, noise)[:, 1280:], target[:, 1280:])

    def evaluate():
        torch.manual_seed(1)
        return {"held-out loss": loss(held).item()}

    Loop(name, model.vocoder, CACHE, minutes, rate=rate, clip=2.0).run(batches, loss, evaluate, 60)


# --- everything ---------------------------------------------------------------------------------

def latest_model():
    """The voice as far as it has been trained (also from running stages)."""
    torch.manual_seed(1)
    model = init_weights(AlignedMel(len(PHONES)))
    set_statistics(model)
    for name, module in (("durations", model.duration), ("acoustic", model.acoustic),
                         ("vocoder", model.vocoder), ("vocoder-finish", model.vocoder)):
        if (weights := averaged(CACHE, name)) is not None:
            module.load_state_dict(weights)
    return model


def plot(path):
    """Loss curves of every stage, as an SVG without any plotting library."""
    from tools.train.voice.plot import write_curves
    names = ("durations", "vocoder", "acoustic", "vocoder-finish")
    histories = {name: torch.load(CACHE / f"{name}.pt", weights_only=True)["history"]
                 for name in names if (CACHE / f"{name}.pt").exists()}
    write_curves(path, histories)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dump", default="build/release/bin/dump_features")
    parser.add_argument("--out", default="models/aligned-mel-en")
    parser.add_argument("--stages", default="corpus durations vocoder acoustic finish export")
    parser.add_argument("--sentences", type=int, default=None,
                        help="speak only so many; for trying the command out (default: all)")
    parser.add_argument("--acoustic-minutes", type=float, default=68)
    parser.add_argument("--vocoder-minutes", type=float, default=14)
    parser.add_argument("--finish-minutes", type=float, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bf16", action="store_true", help="faster on CPUs with AVX512-BF16 only")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    CACHE.mkdir(parents=True, exist_ok=True)
    stages = a.stages.split()
    if "corpus" in stages:
        speak_corpus(a.dump, a.sentences)
    model = latest_model()
    if "durations" in stages:
        train_durations(model, 0.6)
    if "vocoder" in stages:
        train_vocoder(model, "vocoder", a.vocoder_minutes, rate=2e-3)
    if "acoustic" in stages:
        train_acoustic(model, a.acoustic_minutes, a.bf16)
    if "finish" in stages:
        train_vocoder(model, "vocoder-finish", a.finish_minutes, rate=5e-4, predicted_share=0.2)
    if "export" in stages:
        export(model, a.out)
        plot(Path(a.out) / "training.svg")


if __name__ == "__main__":
    main()
