"""Plain inference of the shipped voice, whole utterance at a time: what the C++ engine must match.

    python -m tools.train.voice.reference --clauses phones.json --out x.wav

phones.json: {"seed": 7, "stretch": 1.0, "clauses": [{"phones": [...], "flags": [[28], ...]}, ...]}
"""

import argparse
import json
import math
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from tools.train.voice.features import condition
from tools.train.voice.model import FEATURES, LOG_F0, STACK, VOICING, AlignedMel


@dataclass
class Voice:
    model: AlignedMel
    config: dict

    @classmethod
    def load(cls, folder):
        """Reads config.json and model.safetensors; bf16 weights are widened to float32."""
        config = json.loads((Path(folder) / "config.json").read_text())
        model = AlignedMel(len(config["phones"]), config)
        weights = load_file(Path(folder) / "model.safetensors")
        model.load_state_dict({name: value.float() for name, value in weights.items()})
        return cls(model.eval(), config)

    @torch.inference_mode()
    def ends(self, phones, flags, stretch, first_clause):
        """phones [N], flags [N, 28] -> ends [N] in mel frames, strictly increasing, the last a
        multiple of 4. A stream's first clause begins with a short pause."""
        context = self.model.duration.context(torch.as_tensor(phones), torch.as_tensor(flags))
        scale = self.config["duration"]["scale_mel_frames"]
        durations = torch.exp(self.model.duration(*context)) * scale * stretch
        durations = durations.clamp(min=1).double().numpy()
        if first_clause and phones[0] == self.config["phones"].index(self.config["pause_phone"]):
            durations[0] = min(durations[0], self.config["first_pause_mel_frames"])
        ends = np.floor(np.cumsum(durations) + 0.5).astype(np.int64)
        for i in range(1, len(ends)):
            ends[i] = max(ends[i], ends[i - 1] + 1)
        ends[-1] = -(-ends[-1] // STACK) * STACK
        return ends

    @torch.inference_mode()
    def acoustic(self, phones, flags, ends, stretch):
        """-> features [T, 82], z-scored, free running; a clause starts with an empty cache."""
        inputs = condition(np.asarray(phones), np.asarray(flags, np.float32), ends, stretch)
        acoustic = self.model.acoustic
        conditions = acoustic.conditioner(*(torch.as_tensor(x)[None] for x in inputs))
        feedback = torch.zeros(1, 1, STACK * FEATURES)
        caches, frames = None, []
        for i in range(conditions.shape[1]):
            feedback, caches = acoustic(conditions[:, i:i + 1], feedback, i, caches)
            frames.append(feedback)
        return torch.cat(frames, 1).reshape(-1, FEATURES)

    @torch.inference_mode()
    def vocode(self, features, seed):
        """features [T, 82] of a whole stream, z-scored -> int16 [160 T]."""
        vocoder, c = self.model.vocoder, self.config["vocoder"]
        features = features.clone()
        features[:, VOICING] = (features[:, VOICING] > 0.5).float()
        mean, std = self.model.stats_mean[LOG_F0], self.model.stats_std[LOG_F0]
        log_f0 = (features[:, LOG_F0] * std + mean).numpy()
        pulses = pulse_train(log_f0, features[:, VOICING].numpy(), self.config)
        samples = len(features) * self.config["mel_frame_samples"]
        noise = uniform_noise(seed, c["noise_purpose"], 0, samples)
        y = vocoder(features[None], torch.as_tensor(pulses)[None], torch.as_tensor(noise)[None])[0]
        return (y * c["output_scale"]).round().clamp(-32768, 32767).to(torch.int16).numpy()

    def features(self, clauses, stretch=1.0):
        """clauses: (phones [N], flags [N, 28]) each -> features [T, 82] of the stream, z-scored."""
        parts = []
        for i, (phones, flags) in enumerate(clauses):
            flags = np.asarray(flags, np.float32)
            ends = self.ends(phones, flags, stretch, first_clause=i == 0)
            parts.append(self.acoustic(phones, flags, ends, stretch))
        return torch.cat(parts)

    def speak(self, clauses, seed=0, stretch=1.0):
        """clauses: (phones [N], flags [N, 28]) each -> int16 samples."""
        return self.vocode(self.features(clauses, stretch), seed)


def pulse_train(log_f0, voicing, config):
    """Band-limited pulses. log_f0 float32 [T] in log Hz, voicing [T] 0 or 1 -> float32 [160 T]."""
    c, rate, hop = config["vocoder"], config["sample_rate"], config["mel_frame_samples"]
    log_f0 = log_f0.astype(np.float64)
    previous = np.concatenate([log_f0[:1], log_f0[:-1]])
    step = (np.arange(hop) + 1) / hop
    f0 = np.exp(previous[:, None] + (log_f0 - previous)[:, None] * step).reshape(-1)
    phase = np.cumsum(f0 / rate) % 1.0  # double: in float it drifts within a minute
    harmonics = np.floor(c["harmonic_band"] * rate / f0)
    edge = (phase < c["pulse_epsilon"]) | (phase > 1 - c["pulse_epsilon"])
    sine = np.sin(np.pi * np.where(edge, 0.5, phase))
    ratio = np.sin((2 * harmonics + 1) * np.pi * phase) / sine
    pulse = np.where(edge, np.sqrt(2 * harmonics), (ratio - 1) / 2 * np.sqrt(2 / harmonics))
    return (pulse * np.repeat(voicing > 0.5, hop)).astype(np.float32)


def philox(counter, key):
    """Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
    counter uint32 [n, 4], key (low, high) of 32 bits -> uint32 [n, 4]."""
    low32 = np.uint64(0xFFFFFFFF)
    a, b, c, d = (counter[:, i].astype(np.uint64) for i in range(4))
    k0, k1 = key
    for _ in range(10):
        x, y = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        shift = np.uint64(32)
        a, b, c, d = ((y >> shift) ^ b ^ np.uint64(k0), y & low32,
                      (x >> shift) ^ d ^ np.uint64(k1), x & low32)
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([a, b, c, d], 1).astype(np.uint32)


def uniform_noise(seed, purpose, start, count):
    """Samples start .. start + count - 1 of a session's noise, float32 in +-sqrt(3) (variance 1).
    Sample i is word i % 4 of Philox with key = seed (64 bits) and counter (i / 4 as 64 bits,
    purpose, 0); a word w becomes (2 * (w >> 8) / 2^24 - 1) * sqrt(3)."""
    first, last = start // 4, (start + count + 3) // 4
    index = np.arange(first, last, dtype=np.uint64)
    counter = np.zeros((len(index), 4), np.uint32)
    counter[:, 0] = index & np.uint64(0xFFFFFFFF)
    counter[:, 1] = index >> np.uint64(32)
    counter[:, 2] = purpose
    words = philox(counter, (seed & 0xFFFFFFFF, seed >> 32)).reshape(-1)
    words = words[start - 4 * first:][:count]
    uniform = (words >> np.uint32(8)).astype(np.float32) * np.float32(2.0 ** -24)
    return (2 * uniform - 1) * np.float32(math.sqrt(3.0))


def write_wav(path, samples, rate=16000):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples, "<i2").tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="models/aligned-mel-en")
    parser.add_argument("--clauses", required=True)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    request = json.loads(Path(arguments.clauses).read_text())
    clauses = [(c["phones"], c["flags"]) for c in request["clauses"]]
    samples = Voice.load(arguments.model).speak(clauses, request["seed"], request["stretch"])
    write_wav(arguments.out, samples)


if __name__ == "__main__":
    main()
