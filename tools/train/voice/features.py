"""Reads what dump_features wrote and makes the 82 features of a mel frame (10 ms).

Log-mel: int16 / 20000; mel frame k is 512 samples centred at 160 k + 80, periodic Hann, FFT 1024,
magnitude times 80 HTK-scale triangles each divided by its sum, log(x + 1e-4). Then log F0,
interpolated through unvoiced parts, and voicing (0 or 1).
"""

import struct
from dataclasses import dataclass

import numpy as np

from tools.train.voice.model import FEATURES, FLAGS, MELS, STACK, VOICING

HOP, WINDOW, FFT, RATE = 160, 512, 1024, 16000
SCALE = 20000.0


@dataclass
class Utterance:
    text: str
    stretch: float
    wave: np.ndarray      # int16 [160 T]
    phones: np.ndarray    # int16 [N], indices into the phone list
    flags: np.ndarray     # float16 [N, 28]
    ends: np.ndarray      # int32 [N], mel frames; the last is T
    seconds: np.ndarray   # float32 [N], unrounded ends, for the duration model
    features: np.ndarray  # float32 [T, 82], not normalised


def mel_bank():
    """[513, 80]"""
    def mel(hertz):
        return 2595 * np.log10(1 + hertz / 700)

    edges = 700 * (10 ** (np.linspace(0, mel(RATE / 2), MELS + 2) / 2595) - 1)
    bins = np.arange(FFT // 2 + 1) * RATE / FFT
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    up = (bins[:, None] - low) / (middle - low)
    down = (high - bins[:, None]) / (high - middle)
    bank = np.maximum(0, np.minimum(up, down))
    return (bank / bank.sum(0)).astype(np.float32)


BANK = mel_bank()
HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


def log_mel(wave, count):
    """wave int16 [samples] -> float32 [count, 80]."""
    half = WINDOW // 2
    padded = np.zeros(count * HOP + WINDOW + HOP, np.float32)
    signal = wave[:count * HOP + half].astype(np.float32) / SCALE
    padded[half - HOP // 2:][:len(signal)] = signal
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:count]
    return np.log(np.abs(np.fft.rfft(frames * HANN, FFT)).astype(np.float32) @ BANK + 1e-4)


def pitch(f0, count):
    """F0 every 5 ms (0 = unvoiced) -> log F0 and voicing, [count, 2]."""
    voiced = np.isfinite(f0) & (f0 > 0)  # the teacher's smoothing fails on a few values
    f0 = np.clip(np.where(voiced, f0, 100.0), 50.0, 300.0)
    if not voiced.any():
        return np.stack([np.full(count, np.log(100.0)), np.zeros(count)], 1).astype(np.float32)
    index = np.arange(len(f0))
    log_f0 = np.interp(index, index[voiced], np.log(f0[voiced]))
    pairs = slice(0, 2 * count)
    voicing = voiced[pairs].reshape(count, 2).mean(1) >= 0.5
    return np.stack([log_f0[pairs].reshape(count, 2).mean(1), voicing], 1).astype(np.float32)


def read_records(path):
    """Yields (text, stretch, wave, phone names, ends in seconds, flags, F0)."""
    phone = np.dtype([("name", "S8"), ("end", "<f4"), ("flags", "<f4", (FLAGS,))])
    with open(path, "rb") as file:
        while header := file.read(20):
            text, samples, phones, f0, stretch = struct.unpack("<4if", header)
            text = file.read(text).decode()
            wave = np.frombuffer(file.read(2 * samples), "<i2")
            items = np.frombuffer(file.read(phone.itemsize * phones), phone)
            names = [name.decode() for name in items["name"]]
            yield (text, stretch, wave, names, items["end"].copy(), items["flags"].copy(),
                   np.frombuffer(file.read(4 * f0), "<f4"))


def read_utterances(path, phone_ids, crop_pause=True):
    """Loads a file of dump_features. Every second utterance loses its leading pause but for two mel
    frames, as the first clause of a stream does."""
    utterances = []
    for number, (text, stretch, wave, names, seconds, flags, f0) in enumerate(read_records(path)):
        count = min(len(wave) // HOP, len(f0) // 2) // STACK * STACK
        ends = np.minimum(np.round(100 * seconds).astype(np.int32), count)
        features = np.concatenate([log_mel(wave, count), pitch(f0, count)], 1)
        skip = max(ends[0] - 2, 0) if crop_pause and number % 2 else 0
        count = (count - skip) // STACK * STACK
        ends = np.minimum(ends - skip, count)
        ends[-1] = count
        if count < 2 * STACK:
            continue
        phones = np.array([phone_ids[name] for name in names], np.int16)
        utterances.append(Utterance(
            text, stretch, wave[skip * HOP:(skip + count) * HOP].copy(), phones,
            flags.astype(np.float16), ends, seconds, features[skip:skip + count]))
    return utterances


def statistics(utterances):
    """Mean and standard deviation of the features, [82] each; voicing is left as it is."""
    total, squares, count = np.zeros(FEATURES), np.zeros(FEATURES), 0
    for utterance in utterances:
        total += utterance.features.sum(0, dtype=np.float64)
        squares += np.square(utterance.features, dtype=np.float64).sum(0)
        count += len(utterance.features)
    mean = total / count
    std = np.sqrt(squares / count - mean ** 2)
    mean[VOICING], std[VOICING] = 0, 1
    return mean.astype(np.float32), std.astype(np.float32)


def condition(phones, flags, ends, stretch):
    """What the acoustic model is told about every mel frame of a clause.

    phones [N], flags [N, 28], ends [N] -> phones [T, 4] (current, next three), flags [T, 56]
    (current, next), numbers [T, 5]: mel frames left in the phone, first mel frame of the phone?,
    the next phone's duration, phones left, stretch."""
    count, n = int(ends[-1]), len(phones)
    starts = np.concatenate([[0], ends[:-1]])
    durations = np.maximum(ends - starts, 0)
    current = np.repeat(np.arange(n), durations)  # [T]
    padded = np.concatenate([phones, np.zeros(3, phones.dtype)])
    padded_flags = np.concatenate([flags, np.zeros((1, FLAGS), flags.dtype)])
    following = np.concatenate([durations[1:], [0]])
    t = np.arange(count)
    numbers = np.stack([
        (ends[current] - t - 0.5) / 10,
        t == starts[current],
        np.log(following[current] + 1) / 2,
        np.minimum(n - 1 - current, 40) / 20,
        np.full(count, 4 * np.log(stretch)),
    ], 1).astype(np.float32)
    return (np.stack([padded[current + i] for i in range(4)], 1).astype(np.int64),
            np.concatenate([padded_flags[current], padded_flags[current + 1]], 1)
            .astype(np.float32),
            numbers)
