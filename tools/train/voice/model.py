"""The three networks of the aligned-mel voice, in plain PyTorch.

Phones and their durations drive the frames, so the voice cannot skip, repeat or drift:

    phones, flags -> DurationModel -> ends -> AcousticModel (frame by frame) -> Vocoder -> samples

A *mel frame* is 10 ms, a *frame* (one step of the acoustic model) four of them. Shapes: B batch,
N phones, T mel frames, L = T / 4 frames, D = 82 features a mel frame (80 log-mels, log F0,
voicing).
README.md lists every tensor; reference.py is the inference the C++ engine must agree with.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

MELS, FEATURES, FLAGS, STACK = 80, 82, 28, 4
LOG_F0, VOICING = 80, 81

CONFIG = {
    "architectures": ["AlignedMelForSpeech"],
    "model_type": "aligned_mel",
    "name": "aligned-mel-en",
    "voices": [{"name": "rms", "language_codes": ["en-US"]}],
    "sample_rate": 16000,
    "mel_frame_samples": 160,
    "mel_frames_per_frame": STACK,
    "num_mels": MELS,
    "num_features": FEATURES,
    "num_flags": FLAGS,
    "pause_phone": "pau",
    "first_pause_mel_frames": 2,
    "acoustic": {
        "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "head_dim": 64,
        "intermediate_size": 704, "rms_norm_eps": 1e-5, "rope_theta": 1000.0, "sliding_window": 32,
        "phones_ahead": 4, "phone_embedding_size": 40, "num_condition_numbers": 5,
        "condition_sizes": [256, 96], "feedback_size": 128,
    },
    "duration": {
        "phone_embedding_size": 24, "phones_before": 3, "phones_after": 3, "flags_before": 2,
        "flags_after": 2, "hidden_size": 192, "scale_mel_frames": 5.0,
    },
    "vocoder": {
        "hidden_size": 192, "num_layers": 3, "kernel_size": 3, "look_ahead_mel_frames": 1,
        "subframe_samples": 80, "fft_size": 512, "harmonic_cepstra": 40, "noise_cepstra": 25,
        "warp": 0.42, "harmonic_band": 0.48, "pulse_epsilon": 3e-5, "noise_purpose": 1,
        "output_scale": 20000.0,
    },
}


class RMSNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):  # [..., size] -> [..., size]
        x = x.float()
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


def rotate(x, positions, theta):
    """Rotary position embedding, half-split: pairs are (i, i + size / 2). x [B, L, heads, size]."""
    half = x.shape[-1] // 2
    frequency = theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = positions.double()[:, None] * frequency  # [L, half]
    cos, sin = angle.cos().float()[:, None], angle.sin().float()[:, None]  # [L, 1, half]
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        size, inner = c["hidden_size"], c["num_attention_heads"] * c["head_dim"]
        self.heads, self.head_dim = c["num_attention_heads"], c["head_dim"]
        self.theta, self.window = c["rope_theta"], c["sliding_window"]
        self.q_proj = nn.Linear(size, inner, bias=False)
        self.k_proj = nn.Linear(size, inner, bias=False)
        self.v_proj = nn.Linear(size, inner, bias=False)
        self.o_proj = nn.Linear(inner, size, bias=False)

    def forward(self, x, start=0, cache=None):
        """x [B, L, hidden] at positions start.. -> ([B, L, hidden], cache); cache = (K, V) of
        [B, up to window - 1, heads, head_dim]. A frame sees itself and window - 1 before it."""
        batch, length, _ = x.shape
        positions = torch.arange(start, start + length)
        split = (batch, length, self.heads, self.head_dim)
        q = rotate(self.q_proj(x).view(split).float(), positions, self.theta)
        k = rotate(self.k_proj(x).view(split).float(), positions, self.theta)
        v = self.v_proj(x).view(split).float()
        if cache is not None:
            k, v = torch.cat([cache[0], k], 1), torch.cat([cache[1], v], 1)
        age = positions[:, None] - torch.arange(start + length - k.shape[1], start + length)
        mask = torch.where((age >= 0) & (age < self.window), 0.0, -math.inf)  # [L, keys]
        scores = torch.einsum("blhd,bkhd->bhlk", q, k) / math.sqrt(self.head_dim) + mask
        y = torch.einsum("bhlk,bkhd->blhd", scores.softmax(-1), v).reshape(batch, length, -1)
        keep = self.window - 1
        return self.o_proj(y), (k[:, -keep:], v[:, -keep:])


class MLP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = nn.Linear(c["hidden_size"], c["intermediate_size"], bias=False)
        self.up_proj = nn.Linear(c["hidden_size"], c["intermediate_size"], bias=False)
        self.down_proj = nn.Linear(c["intermediate_size"], c["hidden_size"], bias=False)

    def forward(self, x):  # [B, L, hidden] -> [B, L, hidden]
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.input_layernorm = RMSNorm(c["hidden_size"], c["rms_norm_eps"])
        self.self_attn = Attention(c)
        self.post_attention_layernorm = RMSNorm(c["hidden_size"], c["rms_norm_eps"])
        self.mlp = MLP(c)

    def forward(self, x, start=0, cache=None):  # x [B, L, hidden]
        y, cache = self.self_attn(self.input_layernorm(x), start, cache)
        x = x + y
        return x + self.mlp(self.post_attention_layernorm(x)), cache


class Conditioner(nn.Module):
    """What a frame must say: the phones under its four mel frames. Without left context and elapsed
    time, so that history has to come from the cache."""

    def __init__(self, c, phones):
        super().__init__()
        self.phone_embeddings = nn.ModuleList(
            nn.Embedding(phones, c["phone_embedding_size"]) for _ in range(c["phones_ahead"]))
        inputs = (c["phones_ahead"] * c["phone_embedding_size"] + 2 * FLAGS
                  + c["num_condition_numbers"])
        first, second = c["condition_sizes"]
        self.in_proj = nn.Linear(inputs, first)
        self.mid_proj = nn.Linear(first, second)
        self.out_proj = nn.Linear(STACK * second, c["hidden_size"])

    def forward(self, phones, flags, numbers):
        """phones [B, T, 4] (current and the next three), flags [B, T, 56] (current, next),
        numbers [B, T, 5] (see reference.condition) -> [B, T / 4, hidden]."""
        embedded = [table(phones[..., i]) for i, table in enumerate(self.phone_embeddings)]
        x = torch.cat(embedded + [flags, numbers], -1)
        x = F.silu(self.mid_proj(F.silu(self.in_proj(x))))  # [B, T, 96]
        return self.out_proj(x.reshape(x.shape[0], x.shape[1] // STACK, -1))


class AcousticModel(nn.Module):
    """Predicts a frame's 4 x 82 features (z-scored) from its condition and the frame before."""

    def __init__(self, c, phones):
        super().__init__()
        self.conditioner = Conditioner(c, phones)
        self.feedback_down = nn.Linear(STACK * FEATURES, c["feedback_size"])
        self.feedback_up = nn.Linear(c["feedback_size"], c["hidden_size"], bias=False)
        self.layers = nn.ModuleList(Block(c) for _ in range(c["num_hidden_layers"]))
        self.norm = RMSNorm(c["hidden_size"], c["rms_norm_eps"])
        self.head = nn.Linear(c["hidden_size"], STACK * FEATURES)

    def forward(self, condition, feedback, start=0, caches=None):
        """condition [B, L, hidden] from the conditioner; feedback [B, L, 328], the features of the
        frame before each (zeros before the first) -> ([B, L, 328], one cache per layer)."""
        x = condition + self.feedback_up(F.silu(self.feedback_down(feedback)))
        caches = caches or [None] * len(self.layers)
        for i, layer in enumerate(self.layers):
            x, caches[i] = layer(x, start, caches[i])
        return self.head(self.norm(x)), caches


class DurationModel(nn.Module):
    """log(duration / 5 mel frames) of every phone, at a stretch of 1."""

    def __init__(self, c, phones):
        super().__init__()
        self.c = c
        span = c["phones_before"] + 1 + c["phones_after"]
        flag_span = c["flags_before"] + 1 + c["flags_after"]
        self.phone_embeddings = nn.ModuleList(
            nn.Embedding(phones, c["phone_embedding_size"]) for _ in range(span))
        inputs = span * c["phone_embedding_size"] + flag_span * FLAGS + 2
        self.in_proj = nn.Linear(inputs, c["hidden_size"])
        self.mid_proj = nn.Linear(c["hidden_size"], c["hidden_size"])
        self.out_proj = nn.Linear(c["hidden_size"], 1)

    def context(self, phones, flags):
        """phones [N], flags [N, 28] of one clause -> windows: phones [N, 7], flags and the two
        numbers [N, 5 * 28 + 2]. Positions outside the clause are 0."""
        c, count = self.c, len(phones)
        padded = F.pad(phones, (c["phones_before"], c["phones_after"]))
        windows = padded.unfold(0, c["phones_before"] + 1 + c["phones_after"], 1)
        flag_windows = F.pad(flags, (0, 0, c["flags_before"], c["flags_after"]))
        span = c["flags_before"] + 1 + c["flags_after"]
        flat = torch.cat([flag_windows[i:i + count] for i in range(span)], -1)
        index = torch.arange(count)
        numbers = torch.stack([index, count - 1 - index], -1).clamp(max=30) / 15
        return windows, torch.cat([flat, numbers], -1)

    def forward(self, phones, rest):  # [N, 7], [N, 142] -> [N]
        embedded = [table(phones[:, i]) for i, table in enumerate(self.phone_embeddings)]
        x = F.silu(self.in_proj(torch.cat(embedded + [rest], -1)))
        x = x + F.silu(self.mid_proj(x))
        return self.out_proj(x)[:, 0]


class CausalConv(nn.Conv1d):
    def forward(self, x):  # [B, channels, T], zeros before the first mel frame
        return super().forward(F.pad(x, (self.kernel_size[0] - 1, 0)))


class GatedLayer(nn.Module):
    def __init__(self, size, kernel):
        super().__init__()
        self.conv = CausalConv(size, 2 * size, kernel)
        self.proj = nn.Conv1d(size, size, 1)

    def forward(self, x):  # [B, size, T]
        a, b = self.conv(x).chunk(2, 1)
        return x + self.proj(torch.tanh(a) * torch.sigmoid(b))


class Vocoder(nn.Module):
    """Features to the cepstra of two minimum-phase filters, which shape pulses and noise."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        size, kernel = c["hidden_size"], c["kernel_size"]
        self.in_conv = CausalConv(FEATURES, size, kernel)
        self.layers = nn.ModuleList(GatedLayer(size, kernel) for _ in range(c["num_layers"]))
        self.out_proj = nn.Conv1d(size, 2 * (c["harmonic_cepstra"] + c["noise_cepstra"]), 1)

    def cepstra(self, features):
        """features [B, T, 82]: z-scored, voicing 0 or 1 -> harmonic [B, 2 T, 40], noise
        [B, 2 T, 25], two sub-frames a mel frame. Position t reads mel frame t + 1, the
        last position the last one again."""
        x = torch.cat([features[:, 1:], features[:, -1:]], 1).transpose(1, 2)
        x = F.silu(self.in_conv(x))
        for layer in self.layers:
            x = layer(x)
        x = self.out_proj(x).transpose(1, 2).float()  # [B, T, 2 * 65]
        x = x.reshape(x.shape[0], 2 * x.shape[1], -1)
        return x.split([self.c["harmonic_cepstra"], self.c["noise_cepstra"]], -1)

    def warped(self, order):
        """Real and imaginary part of exp(-i m w~) on a warped axis, [order, fft / 2 + 1] each."""
        bins = self.c["fft_size"] // 2 + 1
        w = torch.arange(bins, dtype=torch.float64) * (math.pi / (bins - 1))
        a = self.c["warp"]
        w = w + 2 * torch.atan(a * torch.sin(w) / (1 - a * torch.cos(w)))
        phase = torch.arange(order, dtype=torch.float64)[:, None] * w
        return phase.cos().float(), -phase.sin().float()

    def response(self, cepstra):  # [B, S, order] -> complex [B, S, fft / 2 + 1], minimum phase
        real, imaginary = self.warped(cepstra.shape[-1])
        magnitude, angle = torch.exp(cepstra @ real), cepstra @ imaginary
        return torch.complex(magnitude * angle.cos(), magnitude * angle.sin())

    def forward(self, features, pulses, noise):
        """features [B, T, 82], pulses and noise [B, 160 T] -> samples [B, 160 T] around +-1.
        Sub-frame j is centred on sample 80 j and sees the 80 samples on either side."""
        hop, fft = self.c["subframe_samples"], self.c["fft_size"]
        harmonic, noisy = self.cepstra(features)
        window = torch.hann_window(2 * hop, periodic=True)

        def spectrum(excitation):  # [B, 160 T] -> [B, 2 T, bins]
            framed = F.pad(excitation, (hop, 0)).unfold(1, 2 * hop, hop)
            return torch.fft.rfft(framed * window, fft)

        total = (spectrum(pulses) * self.response(harmonic)
                 + spectrum(noise) * self.response(noisy))
        pieces = torch.fft.irfft(total, fft)  # [B, 2 T, fft]
        length = (pieces.shape[1] - 1) * hop + fft
        added = F.fold(pieces.transpose(1, 2), (1, length), (1, fft), stride=(1, hop))
        return added[:, 0, 0, hop:hop + pulses.shape[1]]


class AlignedMel(nn.Module):
    """The whole voice; its state_dict is what model.safetensors holds."""

    def __init__(self, phones, config=CONFIG):
        super().__init__()
        self.duration = DurationModel(config["duration"], phones)
        self.acoustic = AcousticModel(config["acoustic"], phones)
        self.vocoder = Vocoder(config["vocoder"])
        self.register_buffer("stats_mean", torch.zeros(FEATURES))  # voicing stays raw: mean 0,
        self.register_buffer("stats_std", torch.ones(FEATURES))    # std 1


def init_weights(model):
    """Random weights to train from (or to test an engine with)."""
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv1d)):
            fan_in = module.weight[0].numel()
            output = name.endswith(("o_proj", "down_proj", "head"))
            nn.init.normal_(module.weight, std=0.02 if output else fan_in ** -0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.5)
    vocoder = model.vocoder
    nn.init.normal_(vocoder.out_proj.weight, std=0.01)
    sizes = [vocoder.c["harmonic_cepstra"], vocoder.c["noise_cepstra"]] * 2
    with torch.no_grad():
        for part, level in zip(vocoder.out_proj.bias.split(sizes), (-2.0, -4.0, -2.0, -4.0)):
            part[0] = level  # c0: without it, exp of a cepstrum explodes
    return model
