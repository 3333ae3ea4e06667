"""The voice in eager PyTorch, made to stream: what both peers run.

Slots hold the state of one stream each; every method works on a batch of slots, and the peer that
serves one request at a time has a single slot. Same weights and equations as
tools/train/voice/reference.py, whole against streamed: test_peers.py. Only the noise is drawn
differently (torch's generator), which costs less than the counter-based one.
"""

import json
import math
import subprocess

import numpy as np
import torch
from torch.nn import functional as F

from tools.train.voice.features import condition
from tools.train.voice.model import FEATURES, LOG_F0, STACK, VOICING
from tools.train.voice.reference import Voice

MAX_FRAMES = 4096  # of one clause: 160 s


class Acoustic:
    """The acoustic model over slots: preallocated rings of keys and values, one position a slot."""

    def __init__(self, model, config, slots):
        c = config["acoustic"]
        self.model, self.window = model, c["sliding_window"]
        self.heads, self.head_dim = c["num_attention_heads"], c["head_dim"]
        shape = (c["num_hidden_layers"], slots, self.window, self.heads, self.head_dim)
        self.keys, self.values = torch.zeros(shape), torch.zeros(shape)
        self.position = torch.zeros(slots, dtype=torch.long)
        self.feedback = torch.zeros(slots, STACK * FEATURES)
        half = self.head_dim // 2
        frequency = c["rope_theta"] ** (-torch.arange(half, dtype=torch.float64) / half)
        angle = torch.arange(MAX_FRAMES, dtype=torch.float64)[:, None] * frequency
        self.cos, self.sin = angle.cos().float()[:, None], angle.sin().float()[:, None]

    def start_clause(self, slot):
        self.position[slot] = 0
        self.feedback[slot] = 0

    def step(self, slots, conditions):
        """slots [B], conditions [B, 256] -> features [B, 328]."""
        model, position = self.model, self.position[slots]
        x = conditions + model.feedback_up(F.silu(model.feedback_down(self.feedback[slots])))
        ring = position % self.window
        age = (ring[:, None] - torch.arange(self.window)) % self.window
        seen = (age <= position[:, None])[:, None, None]  # [B, 1, 1, window]
        cos, sin = self.cos[position], self.sin[position]
        for i, layer in enumerate(model.layers):
            x = x + self.attend(layer.self_attn, layer.input_layernorm(x), i, slots, ring, seen,
                                cos, sin)
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        features = model.head(model.norm(x))
        self.feedback[slots] = features
        self.position[slots] = position + 1
        return features

    def attend(self, attention, x, layer, slots, ring, seen, cos, sin):
        split = (len(slots), self.heads, self.head_dim)
        q = rotate(attention.q_proj(x).view(split), cos, sin)
        self.keys[layer, slots, ring] = rotate(attention.k_proj(x).view(split), cos, sin)
        self.values[layer, slots, ring] = attention.v_proj(x).view(split)
        keys = self.keys[layer, slots].transpose(1, 2)  # [B, heads, window, head_dim]
        values = self.values[layer, slots].transpose(1, 2)
        y = F.scaled_dot_product_attention(q[:, :, None], keys, values, attn_mask=seen)
        return attention.o_proj(y.reshape(len(slots), -1))


def rotate(x, cos, sin):  # [B, heads, head_dim], [B, 1, head_dim / 2]
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Vocoder:
    """The vocoder over slots, a run of mel frames at a time. Emits what is final: 10 ms of
    look-ahead and 5 ms of overlap are held back until more arrives or the stream ends."""

    def __init__(self, model, config, slots):
        self.model, self.config = model, config
        c = config["vocoder"]
        self.hop, self.fft = c["subframe_samples"], c["fft_size"]
        self.orders = (c["harmonic_cepstra"], c["noise_cepstra"])
        self.samples = config["mel_frame_samples"]
        self.log_f0_mean = float(model.stats_mean[LOG_F0])
        self.log_f0_std = float(model.stats_std[LOG_F0])
        net = model.vocoder
        self.warped = [net.warped(order) for order in self.orders]
        self.hann = torch.hann_window(2 * self.hop, periodic=True)
        tail = c["kernel_size"] - 1
        channels = [FEATURES] + [c["hidden_size"]] * c["num_layers"]
        self.convs = [net.in_conv] + [layer.conv for layer in net.layers]
        self.tails = [torch.zeros(slots, size, tail) for size in channels]
        self.held = torch.zeros(slots, FEATURES)  # the mel frame that waits for the next one
        self.log_f0 = torch.zeros(slots, dtype=torch.float64)
        self.phase = torch.zeros(slots, dtype=torch.float64)
        self.excitation = torch.zeros(2, slots, self.hop)  # pulses, noise: the last 80 samples
        self.overlap = torch.zeros(slots, self.fft - self.hop)
        self.begun = [False] * slots

    def start_stream(self, slot):
        for state in (*self.tails, self.overlap):
            state[slot] = 0
        self.excitation[:, slot] = 0
        self.phase[slot] = 0
        self.begun[slot] = False

    def push(self, slots, features):
        """slots [B], all begun or all not; features [B, T, 82] -> samples [B, n]."""
        features = features.clone()
        features[..., VOICING] = (features[..., VOICING] > 0.5).float()
        if self.begun[slots[0]]:
            current = torch.cat([self.held[slots][:, None], features[:, :-1]], 1)
            ahead, drop = features, 0
        else:
            current, ahead, drop = features[:, :-1], features[:, 1:], self.hop
            self.log_f0[slots] = self.pitch(features[:, 0])
        self.held[slots] = features[:, -1]
        for slot in slots:
            self.begun[slot] = True
        return self.run(slots, current, ahead)[:, drop:]

    def finish(self, slot):
        """The end of a stream -> samples [n]."""
        slots = [slot]
        last = self.held[slots][:, None]
        samples = self.run(slots, last, last)[0]
        return torch.cat([samples, self.overlap[slot, :self.hop]])

    def run(self, slots, current, ahead):
        cepstra = self.network(slots, ahead)
        samples = current.shape[1] * self.samples
        pulses = self.pulses(slots, current)
        noise = (2 * torch.rand(len(slots), samples) - 1) * math.sqrt(3.0)
        total = 0
        for i, (excitation, part) in enumerate(zip((pulses, noise), cepstra)):
            padded = torch.cat([self.excitation[i, slots], excitation], 1)
            self.excitation[i, slots] = padded[:, -self.hop:]
            spectrum = torch.fft.rfft(padded.unfold(1, 2 * self.hop, self.hop) * self.hann, self.fft)
            real, imaginary = self.warped[i]
            total = total + spectrum * torch.polar(torch.exp(part @ real), part @ imaginary)
        pieces = torch.fft.irfft(total, self.fft)  # [B, sub-frames, fft]
        length = (pieces.shape[1] - 1) * self.hop + self.fft
        added = F.fold(pieces.transpose(1, 2), (1, length), (1, self.fft), stride=(1, self.hop))
        added = added[:, 0, 0]
        added[:, :self.overlap.shape[1]] += self.overlap[slots]
        self.overlap[slots] = added[:, samples:]
        return added[:, :samples]

    def network(self, slots, ahead):
        net = self.model.vocoder
        x = self.conv(0, slots, ahead.transpose(1, 2))
        x = F.silu(x)
        for i, layer in enumerate(net.layers):
            a, b = self.conv(i + 1, slots, x).chunk(2, 1)
            x = x + layer.proj(torch.tanh(a) * torch.sigmoid(b))
        x = net.out_proj(x).transpose(1, 2)
        return x.reshape(x.shape[0], 2 * x.shape[1], -1).split(self.orders, -1)

    def conv(self, i, slots, x):
        x = torch.cat([self.tails[i][slots], x], 2)
        self.tails[i][slots] = x[:, :, -self.tails[i].shape[2]:]
        conv = self.convs[i]
        return F.conv1d(x, conv.weight, conv.bias)

    def pitch(self, features):
        return (features[..., LOG_F0] * self.log_f0_std + self.log_f0_mean).double()

    def pulses(self, slots, current):
        c, rate = self.config["vocoder"], self.config["sample_rate"]
        log_f0 = self.pitch(current)  # [B, T]
        previous = torch.cat([self.log_f0[slots][:, None], log_f0[:, :-1]], 1)
        self.log_f0[slots] = log_f0[:, -1]
        step = (torch.arange(self.samples) + 1) / self.samples
        f0 = torch.exp(previous[..., None] + (log_f0 - previous)[..., None] * step).flatten(1)
        phase = (self.phase[slots][:, None] + torch.cumsum(f0 / rate, 1)) % 1.0
        self.phase[slots] = phase[:, -1]
        harmonics = torch.floor(c["harmonic_band"] * rate / f0)
        edge = (phase < c["pulse_epsilon"]) | (phase > 1 - c["pulse_epsilon"])
        sine = torch.sin(math.pi * torch.where(edge, 0.5, phase))
        ratio = torch.sin((2 * harmonics + 1) * math.pi * phase) / sine
        pulse = torch.where(edge, torch.sqrt(2 * harmonics),
                            (ratio - 1) / 2 * torch.sqrt(2 / harmonics))
        voiced = current[..., VOICING].repeat_interleave(self.samples, 1)
        return (pulse * voiced).float()


class StreamingVoice:
    """Weights, and the state of `slots` streams. One thread."""

    def __init__(self, folder, slots):
        self.voice = Voice.load(folder)
        self.config = self.voice.config
        self.acoustic = Acoustic(self.voice.model.acoustic, self.config, slots)
        self.vocoder = Vocoder(self.voice.model, self.config, slots)

    def conditions(self, phones, flags, first_clause, stretch):
        """One clause -> conditions [L, 256]."""
        ends = self.voice.ends(phones, flags, stretch, first_clause)
        inputs = condition(phones, flags, ends, stretch)
        conditioner = self.voice.model.acoustic.conditioner
        return conditioner(*(torch.as_tensor(x)[None] for x in inputs))[0]

    def pcm16(self, samples):
        scaled = (samples * self.config["vocoder"]["output_scale"]).round().clamp(-32768, 32767)
        return scaled.to(torch.int16).numpy()


class FrontEndPipe:
    """Our segmenter and front end in a child process. One thread at a time."""

    def __init__(self, program, config):
        self.process = subprocess.Popen([program, config], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def clauses(self, text):
        """-> [(phones int64 [N], flags float32 [N, 28]), ...]"""
        self.process.stdin.write(json.dumps(text).encode() + b"\n")
        self.process.stdin.flush()
        return [self.clause() for _ in range(self.numbers(1)[0])]

    def clause(self):
        count = self.numbers(1)[0]
        phones = self.numbers(count).astype(np.int64)
        flags = np.frombuffer(self.process.stdout.read(4 * 28 * count), "<f4")
        return phones, flags.reshape(count, 28).copy()

    def numbers(self, count):
        return np.frombuffer(self.process.stdout.read(4 * count), "<i4")
