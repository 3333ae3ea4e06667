"""The networks of the state-dit world, in the order in which a frame passes through them.

Prompt -> theme. Dynamics: state + action -> next state. Rays: pose -> depth and features along 28
rays of a learned map. Renderer: ray features -> an estimate of the frame's latents. DiT: noise,
estimate, ray features and a ring cache of past frames -> the frame's latents and its sound code.
Decoder: latents -> picture. AudioCode: sound code -> samples. Encoder and Localizer serve seed
images only. README.md has the equations; everything runs in float32.

Shapes: N frames; 16 video tokens of 48 numbers (token 4 * row + column of the 4 x 4 latent), one
audio token of 16 numbers, one state token: 18 tokens a frame.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

CONFIG = {
    "architecture": "state_dit",
    "torch_dtype": "bfloat16",
    "width": 64, "height": 64, "fps": 20, "sample_rate": 16000, "samples_per_frame": 800,
    "keys": ["forward", "back", "left", "right", "turn_left", "turn_right"],
    "themes": ["day", "night", "snow", "neon", "desert", "toxic"], "default_theme": 0,
    "prompt_buckets": 256,
    "start": [2.5, 1.6, 1.2],  # x, y in cells, heading in radians
    "state": {"step": 7, "collision": 2, "cooldown": 6},  # sizes of the one-hots
    "map": {"low": -0.5, "high": 10.5},
    "dynamics": {"width": 256, "layers": 3, "frequencies": 12, "lowest": 0.05, "highest": 4.0,
                 "headings": 4, "grid": 51, "channels": 12, "move": 0.08, "turn": 0.1,
                 "low": 0.2, "high": 9.8},
    "rays": {"count": 28, "beyond": 2, "half_tangent": 0.7673269879789604, "samples": 72,
             "near": 0.05, "far": 12.5, "power": 1.5, "density": 81, "grid": 51, "channels": 10,
             "before": 0.12, "behind": 0.3, "frequencies": [0.25, 0.5, 1.0, 2.0],
             "floor": [0.7, 0.8, 0.95, 1.15, 1.4, 1.75, 2.2, 2.8, 3.6, 4.8, 6.8],
             "headings": 3, "hidden": 160, "features": 48},
    "renderer": {"rays": 10, "stride": 6, "width": 320, "layers": 4},
    "dit": {"width": 192, "layers": 4, "heads": 3, "head_dim": 64, "mlp": 768, "condition": 128,
            "rope_pairs": [12, 10, 10], "rope_base": 100.0, "window": 12, "renderer": True,
            "sigmas": [1.0], "events": 4, "note": 6},
    "latent": {"rows": 4, "columns": 4, "channels": 48},
    "audio_channels": 16,
    "encoder": [48, 96, 160],
    "decoder": [192, 96, 56],
    "localizer": {"width": 256, "bins": 20, "headings": 36, "positions": 12, "turns": 3,
                  "keep": 6, "rounds": 5, "position_spread": 0.2, "heading_spread": 0.1},
    "noise_purpose": 2, "localizer_noise_purpose": 3,
    "norm_epsilon": 1e-6,
}


# --- prompt -------------------------------------------------------------------------------------

def word_bag(text, buckets):
    """Counts of hashed words: lower-case runs of a-z, by 32-bit FNV-1a. -> float32 [buckets]"""
    bag = torch.zeros(buckets)
    lowered = "".join(c if "a" <= c <= "z" else " " for c in text.translate(ASCII_LOWER))
    for word in lowered.split():
        value = 2166136261
        for byte in word.encode():
            value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
        bag[value % buckets] += 1
    return bag


ASCII_LOWER = {ord("A") + i: ord("a") + i for i in range(26)}


class Prompt(nn.Module):
    """Word bag [N, 256] -> theme logits [N, 6]. The theme is the argmax: it snaps."""

    def __init__(self, c=CONFIG):
        super().__init__()
        self.linear = nn.Linear(c["prompt_buckets"], len(c["themes"]))

    def forward(self, bag):
        return self.linear(bag)


# --- shared -------------------------------------------------------------------------------------

def harmonics(angle, count):
    """angle [...] -> sin(k a) for k = 1..count, then cos(k a): [..., 2 count]"""
    k = torch.arange(1, count + 1, dtype=angle.dtype) * angle[..., None]
    return torch.cat([k.sin(), k.cos()], -1)


def waves(points, frequencies):
    """points [..., 2], cycles a cell [f] -> [..., 4 f]: sin x, cos x, sin y, cos y, f of each."""
    angle = 2 * math.pi * points[..., None] * frequencies  # [..., 2, f]
    return torch.stack([angle.sin(), angle.cos()], -2).flatten(-3)


def sample_map(grid, points, low, high):
    """Bilinear, clamped at the border. grid [C, n (y), n (x)], points [..., 2] -> [..., C]"""
    where = (points - low) / (high - low) * 2 - 1
    out = F.grid_sample(grid[None], where.reshape(1, -1, 1, 2), mode="bilinear",
                        padding_mode="border", align_corners=True)  # [1, C, points, 1]
    return out[0, :, :, 0].t().reshape(*points.shape[:-1], -1)


class Gated(nn.Module):
    """silu(first half) * second half of one linear layer."""

    def __init__(self, inputs, width):
        super().__init__()
        self.linear = nn.Linear(inputs, 2 * width)

    def forward(self, x):
        a, b = self.linear(x).chunk(2, -1)
        return F.silu(a) * b


def one_hots(state, c):
    """state [N, 6] -> step, collision and cooldown as one-hots [N, 15]"""
    sizes = c["state"].values()
    return torch.cat([F.one_hot(state[:, 3 + i].long(), n) for i, n in enumerate(sizes)], -1).to(
        state.dtype)


# --- dynamics -----------------------------------------------------------------------------------

class Dynamics(nn.Module):
    """State [N, 6]: x, y (cells), heading (radians), step counter 0..6, collision 0..1, bump
    cooldown 0..5. Action [N, 7]: the six keys as 0 or 1, pointer dx in [-1, 1]."""

    def __init__(self, c=CONFIG):
        super().__init__()
        self.c, d = c, c["dynamics"]
        sizes = sum(c["state"].values())
        inputs = 4 * d["frequencies"] + 2 * d["headings"] + sizes + 7 + d["channels"]
        ratio = (d["highest"] / d["lowest"]) ** (1 / (d["frequencies"] - 1))
        self.frequencies = d["lowest"] * ratio ** torch.arange(d["frequencies"])
        self.grid = nn.Parameter(0.1 * torch.randn(d["channels"], d["grid"], d["grid"]))
        widths = [inputs] + [d["width"]] * (d["layers"] - 1)
        self.layers = nn.ModuleList(Gated(n, d["width"]) for n in widths)
        self.head = nn.Linear(d["width"], 3 + sizes)

    def forward(self, state, action):
        """-> [N, 3]: dx, dy / 0.08 cells, turn / 0.1 radians; logits [N, 7], [N, 2], [N, 6]"""
        c, d = self.c, self.c["dynamics"]
        position = state[:, :2]
        x = torch.cat([waves(position, self.frequencies), harmonics(state[:, 2], d["headings"]),
                       one_hots(state, c), action,
                       sample_map(self.grid, position, c["map"]["low"], c["map"]["high"])], -1)
        x = self.layers[0](x)
        for layer in self.layers[1:]:
            x = x + layer(x)
        return self.head(x).split([3, *c["state"].values()], -1)

    def advance(self, state, action):
        """-> the next state [N, 6]; the discrete parts are argmax'ed, so they cannot drift."""
        d = self.c["dynamics"]
        motion, *logits = self(state, action)
        position = (state[:, :2] + d["move"] * motion[:, :2]).clamp(d["low"], d["high"])
        heading = state[:, 2] + d["turn"] * motion[:, 2]
        heading = heading - 2 * math.pi * torch.floor(heading / (2 * math.pi) + 0.5)
        discrete = [x.argmax(-1).to(state.dtype) for x in logits]
        return torch.cat([position, torch.stack([heading, *discrete], -1)], -1)


# --- rays and renderer --------------------------------------------------------------------------

class Rays(nn.Module):
    """Soft first hit along rays of a learned density map, and what a ray knows about it."""

    def __init__(self, c=CONFIG):
        super().__init__()
        self.c, r = c, c["rays"]
        inside = r["count"] - 2 * r["beyond"]
        # Offset of each ray to the right, as a multiple of the forward distance.
        column = (torch.arange(r["count"]) - r["beyond"] + 0.5) / inside
        self.offsets = (2 * column - 1) * r["half_tangent"]  # [28]
        part = torch.arange(r["samples"]) / (r["samples"] - 1)
        self.distances = r["near"] + r["far"] * part ** r["power"]  # [72]
        ends = torch.cat([self.distances, self.distances[-1:] * 2 - self.distances[-2]])
        self.gaps = ends[1:] - ends[:-1]  # [72]
        self.frequencies = torch.tensor(r["frequencies"])
        self.floor = torch.tensor(r["floor"])
        self.density = nn.Parameter(torch.full((1, r["density"], r["density"]), -1.0))
        self.colors = nn.Parameter(0.1 * torch.randn(r["channels"], r["grid"], r["grid"]))
        inputs = (4 + 4 * len(r["frequencies"]) + 2 * r["channels"]
                  + len(r["floor"]) * (r["channels"] + 6) + 2 * r["headings"] + 1)
        self.gate = Gated(inputs, r["hidden"])
        self.out = nn.Linear(r["hidden"], r["features"])

    def _at(self, grid, points):
        return sample_map(grid, points, self.c["map"]["low"], self.c["map"]["high"])

    def _directions(self, pose):
        """pose [N, 3] -> [N, 28, 2]: one unit forward, `offset` units to the right."""
        sine, cosine = pose[:, 2].sin(), pose[:, 2].cos()
        forward = torch.stack([cosine, sine], -1)[:, None]
        right = torch.stack([sine, -cosine], -1)[:, None]
        return forward + self.offsets[:, None] * right

    def depth(self, pose):
        """pose [N, 3]: x, y, heading -> forward distance of the first wall [N, 28], in cells"""
        points = pose[:, None, None, :2] + (self.distances[:, None]
                                            * self._directions(pose)[:, :, None])
        density = self._at(F.softplus(10 * self.density), points)[..., 0]  # [N, 28, 72]
        passed = torch.exp(-torch.cumsum(density * self.gaps, -1))  # light left after each sample
        before = F.pad(passed, (1, 0), value=1.0)[..., :-1]
        hit = before - passed
        return (hit * self.distances).sum(-1) + passed[..., -1] * self.distances[-1]

    def inputs(self, pose, depth):
        """What the geometry says about each ray -> [N, 28, 223]"""
        r = self.c["rays"]
        direction, position = self._directions(pose), pose[:, None, :2]
        t = depth.clamp(min=0.1)
        along = torch.stack([t / 6, (0.5 / t).clamp(max=2), torch.exp(-t / 2), t.log()], -1)
        hit = position + t[..., None] * direction
        near = position + (t - r["before"])[..., None] * direction
        far = position + (t + r["behind"])[..., None] * direction
        ground = position[:, :, None] + self.floor[:, None] * direction[:, :, None]  # [N,28,11,2]
        open_ = torch.sigmoid(8 * (t[..., None] - self.floor))[..., None]  # is it before the wall?
        half = math.pi * ground
        sine, cosine = half.sin(), half.cos()
        tiles = torch.cat([sine, cosine, sine[..., :1] * sine[..., 1:]], -1)
        floor = torch.cat([self._at(self.colors, ground) * open_, tiles * open_, open_], -1)
        turn = harmonics(pose[:, 2], r["headings"])[:, None].expand(-1, r["count"], -1)
        offset = self.offsets[None, :, None].expand(len(pose), -1, -1)
        return torch.cat([along, waves(hit, self.frequencies), self._at(self.colors, near),
                          self._at(self.colors, far), floor.flatten(2), turn, offset], -1)

    def forward(self, pose, depth):
        """-> ray features [N, 28, 48]"""
        return self.out(self.gate(self.inputs(pose, depth)))


class Renderer(nn.Module):
    """Ray features and theme -> estimate of the latents."""

    def __init__(self, c=CONFIG):
        super().__init__()
        self.c, r = c, c["renderer"]
        width, themes, latent = r["width"], len(c["themes"]), c["latent"]
        widths = [r["rays"] * c["rays"]["features"]] + [width] * (r["layers"] - 1)
        self.layers = nn.ModuleList(Gated(n, width) for n in widths)
        self.film = nn.Linear(themes, r["layers"] * 2 * width)
        self.head = nn.Linear(width, latent["rows"] * latent["channels"])

    def columns(self, features):
        """Ray features [N, 28, 48] -> [N, 4, 480]: the ten rays that a token column sees."""
        r = self.c["renderer"]
        return torch.stack([features[:, r["stride"] * i:r["stride"] * i + r["rays"]].flatten(1)
                            for i in range(self.c["latent"]["columns"])], 1)

    def forward(self, columns, theme):
        """columns [N, 4, 480], theme [N, 6] one-hot -> [N, 16, 48]"""
        film = self.film(theme)[:, None].chunk(2 * len(self.layers), -1)
        x = columns
        for i, layer in enumerate(self.layers):
            y = layer(x) * (1 + film[2 * i]) + film[2 * i + 1]
            x = y if i == 0 else x + y
        x = self.head(x)  # [N, 4 columns, 4 rows * 48]
        x = x.unflatten(-1, (self.c["latent"]["rows"], -1)).transpose(1, 2)
        return x.flatten(1, 2)


# --- DiT ----------------------------------------------------------------------------------------

def rms_norm(x, epsilon):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + epsilon)


def rotate(x, cosine, sine):
    """Rotates pairs (i, i + 32) of each head. x [..., heads, 64], tables [..., 1, 32]."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cosine - b * sine, a * sine + b * cosine], -1)


class Rope:
    """Angles over (t, row, column): 12, 10 and 10 of a head's 32 pairs; audio and state tokens
    are at row and column 0. Products in double, so that long sessions keep their precision."""

    def __init__(self, c):
        d, latent = c["dit"], c["latent"]
        self.speeds = [d["rope_base"] ** (-torch.arange(n, dtype=torch.float64) / n)
                       for n in d["rope_pairs"]]
        rows, columns = latent["rows"], latent["columns"]
        places = [(i, j) for i in range(rows) for j in range(columns)] + [(0, 0), (0, 0)]
        self.places = torch.tensor(places, dtype=torch.float64)  # [18, 2]

    def __call__(self, frames):
        """frame numbers [N] -> cosines, sines [N, 18, 1, 32]"""
        time = frames.double()[:, None, None] * self.speeds[0]  # [N, 1, 12]
        parts = [time.expand(-1, len(self.places), -1)]
        parts += [(self.places[:, i, None] * self.speeds[1 + i])[None].expand(len(frames), -1, -1)
                  for i in range(2)]
        angle = torch.cat(parts, -1)[:, :, None]
        return angle.cos().float(), angle.sin().float()


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        d = c["dit"]
        inner = d["heads"] * d["head_dim"]
        self.heads, self.epsilon = d["heads"], c["norm_epsilon"]
        self.modulation = nn.Linear(d["condition"], 6 * d["width"])
        self.qkv = nn.Linear(d["width"], 3 * inner, bias=False)
        self.query_gain = nn.Parameter(torch.ones(d["head_dim"]))
        self.key_gain = nn.Parameter(torch.ones(d["head_dim"]))
        self.out = nn.Linear(inner, d["width"], bias=False)
        self.up = nn.Linear(d["width"], d["mlp"], bias=False)
        self.down = nn.Linear(d["mlp"], d["width"], bias=False)

    def modulate(self, condition):
        """condition [N, 128] -> six of [N, 1, 192]: shift, scale, gate for attention and MLP"""
        return self.modulation(condition)[:, None].chunk(6, -1)

    def attention_inputs(self, x, modulation, table):
        """x [N, 18, 192] -> q, k, v [N, 18, heads, 64], q and k normalised and rotated"""
        shift, scale = modulation[:2]
        x = rms_norm(x, self.epsilon) * (1 + scale) + shift
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        q = rotate(rms_norm(q, self.epsilon) * self.query_gain, *table)
        k = rotate(rms_norm(k, self.epsilon) * self.key_gain, *table)
        return q, k, v

    def finish(self, x, attended, modulation):
        """attended [N, 18, heads, 64] -> x [N, 18, 192]"""
        gate, shift, scale, mlp_gate = modulation[2:]
        x = x + gate * self.out(attended.flatten(-2))
        y = rms_norm(x, self.epsilon) * (1 + scale) + shift
        return x + mlp_gate * self.down(F.relu(self.up(y)).square())


class Dit(nn.Module):
    """One pass over one frame's 18 tokens, attending to cached frames and to itself.

    The state token makes a *note* [6] of what lives by chance, as the video tokens make the picture:
    whether something is there (predicted: a logit; kept: 0 or 1), how far ahead and to the right
    (cells / 2), its speed ahead and to the right (a tenth of a cell a tick), ticks out of sight / 8.
    The ring keeps it with the frame's keys and values; the next frame begins from it."""

    def __init__(self, c=CONFIG):
        super().__init__()
        self.c, d, latent = c, c["dit"], c["latent"]
        width, channels = d["width"], latent["channels"]
        self.rope = Rope(c)
        conditions = 8 + 7 + len(c["themes"]) + d["events"] + 4 + 2 + sum(c["state"].values()) + 3
        conditions += d["note"] + 2
        self.condition_in = nn.Linear(conditions, width)
        self.condition_out = nn.Linear(width, d["condition"])
        self.video_in = nn.Linear(channels, width)
        self.estimate_in = nn.Linear(channels, width, bias=False)
        self.rays_in = nn.Linear(c["renderer"]["rays"] * c["rays"]["features"], width, bias=False)
        self.audio_in = nn.Linear(c["audio_channels"], width)
        self.state_in = nn.Linear(conditions, width)
        tokens = latent["rows"] * latent["columns"] + 2
        self.tokens = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.blocks = nn.ModuleList(Block(c) for _ in range(d["layers"]))
        self.final = nn.Linear(d["condition"], 2 * width)
        self.video_out = nn.Linear(width, channels)
        self.audio_out = nn.Linear(width, c["audio_channels"])
        self.note_out = nn.Linear(width, d["note"])
        self.note_past = nn.Linear(conditions, d["note"], bias=False)

    def facts(self, sigma, before, state, action, theme, events, note):
        """What a frame is conditioned on -> [N, 57]. sigma [N]; before, state [N, 6]: the state
        before and after the action [N, 7]; theme [N, 6] one-hot; events [N, 4]: the frame's noise
        for what chance decides; note [N, 6]: the frame's own or, before it has one, the one carried
        along."""
        d = self.c["dynamics"]
        level = harmonics(sigma * (math.pi / 2), 4)
        moved = (state[:, :2] - before[:, :2]) / d["move"]
        sine, cosine = state[:, 2].sin(), state[:, 2].cos()
        forward = moved[:, 0] * cosine + moved[:, 1] * sine
        right = moved[:, 0] * sine - moved[:, 1] * cosine
        turn = state[:, 2] - before[:, 2]
        turn = (turn - 2 * math.pi * torch.floor(turn / (2 * math.pi) + 0.5)) / d["turn"]
        return torch.cat([level, action, theme, events, harmonics(state[:, 2], 2),
                          state[:, :2] / 5 - 1, one_hots(state, self.c),
                          torch.stack([forward, right, turn], -1), self.sighted(note)], -1)

    def condition(self, facts):
        """[N, 57] -> [N, 128]"""
        return F.silu(self.condition_out(F.silu(self.condition_in(facts))))

    @staticmethod
    def sighted(note):
        """What a note says to the eye [N, 6] -> [N, 8]: itself, the tangent to the right, one over
        the cells ahead."""
        near = note[:, :1] / (2 * note[:, 1:2]).clamp(min=0.3)
        return torch.cat([note, 2 * note[:, 2:3] * near, near], -1)

    @staticmethod
    def carried(note, before, state):
        """The note of the frame before [..., 6] as the player sees it after his own move from
        `before` to `state` [..., 6]."""
        move = (before[..., :2] - state[..., :2]) / 2
        sine, cosine = state[..., 2].sin(), state[..., 2].cos()
        forward = move[..., 0] * cosine + move[..., 1] * sine
        right = move[..., 0] * sine - move[..., 1] * cosine
        turn = state[..., 2] - before[..., 2]
        sine, cosine = turn.sin(), turn.cos()
        there, ahead, aside, fast, slip, hidden = note.unbind(-1)
        return torch.stack([there, ahead * cosine - aside * sine + there * forward,
                            ahead * sine + aside * cosine + there * right,
                            fast * cosine - slip * sine, fast * sine + slip * cosine, hidden], -1)

    @staticmethod
    def settled(note, carried):
        """A predicted note as it is kept [..., 6]: something is there or it is not, what was there
        moves on with its new speed, and frames out of sight are whole ones."""
        there = (note[..., :1] > 0).to(note.dtype)
        place = torch.where(carried[..., :1] > 0, carried[..., 1:3] + note[..., 3:5] / 20,
                            note[..., 1:3])
        rest = torch.cat([place, note[..., 3:5], torch.round(8 * note[..., 5:]) / 8],
                         -1).clamp(-2, 2)
        return there * torch.cat([there, rest], -1)

    def embed(self, video, estimate, columns, audio, facts):
        """video, estimate [N, 16, 48], columns [N, 4, 480], audio [N, 16] -> [N, 18, 192].
        A world without renderer passes an estimate of zeros."""
        rays = self.rays_in(columns).repeat(1, self.c["latent"]["rows"], 1)  # token 4 row + column
        x = self.video_in(video) + self.estimate_in(estimate) + rays
        rest = torch.stack([self.audio_in(audio), self.state_in(facts)], 1)
        return torch.cat([x, rest], 1) + self.tokens

    def head(self, x, condition, estimate, facts):
        """-> video [N, 16, 48], added to the estimate; audio [N, 16]; note [N, 6], added to what
        follows in a straight line from the facts"""
        shift, scale = self.final(condition)[:, None].chunk(2, -1)
        x = rms_norm(x, self.c["norm_epsilon"]) * (1 + scale) + shift
        return (estimate + self.video_out(x[:, :-2]), self.audio_out(x[:, -2]),
                self.note_out(x[:, -1]) + self.note_past(facts))

    def run(self, x, condition, frame, keys, values):
        """One pass for N sessions at the same frame number. x [N, 18, 192], condition [N, 128];
        keys, values [layers, N, frames, 18, heads, 64]: the cached frames, in any order.
        -> x [N, 18, 192], this frame's keys and values [layers, N, 18, heads, 64]"""
        table = self.rope(torch.tensor([frame]))
        own_keys, own_values = [], []
        for layer, block in enumerate(self.blocks):
            modulation = block.modulate(condition)
            q, k, v = block.attention_inputs(x, modulation, table)
            own_keys.append(k)
            own_values.append(v)
            seen_k = torch.cat([keys[layer].flatten(1, 2), k], 1).transpose(1, 2)
            seen_v = torch.cat([values[layer].flatten(1, 2), v], 1).transpose(1, 2)
            attended = F.scaled_dot_product_attention(q.transpose(1, 2), seen_k,
                                                      seen_v)  # scale 1 / sqrt(64)
            x = block.finish(x, attended.transpose(1, 2), modulation)
        return x, torch.stack(own_keys), torch.stack(own_values)


# --- pictures and sound -------------------------------------------------------------------------

class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x):
        return x + self.conv2(F.silu(self.conv1(self.norm(x))))


class Encoder(nn.Module):
    """Picture [N, 3, 64, 64] in [0, 1] -> latents [N, 48, 4, 4], not yet whitened."""

    def __init__(self, c=CONFIG):
        super().__init__()
        a, b, d = c["encoder"]
        self.conv_in = nn.Conv2d(48, a, 3, padding=1)
        self.block16 = Residual(a)
        self.down8 = nn.Conv2d(4 * a, b, 1)
        self.block8 = Residual(b)
        self.down4 = nn.Conv2d(4 * b, d, 1)
        self.block4 = Residual(d)
        self.conv_out = nn.Conv2d(d, c["latent"]["channels"], 1)

    def forward(self, picture):
        x = self.block16(self.conv_in(F.pixel_unshuffle(picture - 0.5, 4)))
        x = self.block8(self.down8(F.pixel_unshuffle(x, 2)))
        x = self.block4(self.down4(F.pixel_unshuffle(x, 2)))
        return self.conv_out(x)


class Decoder(nn.Module):
    """Latents [N, 48, 4, 4], not whitened -> picture [N, 3, 64, 64], nominally in [0, 1]."""

    def __init__(self, c=CONFIG):
        super().__init__()
        a, b, d = c["decoder"]
        self.conv_in = nn.Conv2d(c["latent"]["channels"], a, 3, padding=1)
        self.block4 = Residual(a)
        self.up8 = nn.Conv2d(a, 4 * b, 1)
        self.block8a, self.block8b = Residual(b), Residual(b)
        self.up16 = nn.Conv2d(b, 4 * d, 1)
        self.block16a, self.block16b = Residual(d), Residual(d)
        self.conv_out = nn.Conv2d(d, 48, 3, padding=1)

    def forward(self, latents):
        x = self.block4(self.conv_in(latents))
        x = self.block8b(self.block8a(F.pixel_shuffle(self.up8(x), 2)))
        x = self.block16b(self.block16a(F.pixel_shuffle(self.up16(x), 2)))
        return F.pixel_shuffle(self.conv_out(F.silu(x)), 4) + 0.5


class Autoencoder(nn.Module):
    """Encoder and decoder around latents in token order, which a world may whiten: train.py no
    longer does, for it made nothing better (MODEL_CARD.md)."""

    def __init__(self, c=CONFIG):
        super().__init__()
        self.c = c
        self.encoder, self.decoder = Encoder(c), Decoder(c)
        self.register_buffer("mean", torch.zeros(c["latent"]["channels"]))
        self.register_buffer("std", torch.ones(c["latent"]["channels"]))

    def encode(self, picture):
        """[N, 3, 64, 64] -> tokens [N, 16, 48], whitened per channel"""
        return (self.encoder(picture).flatten(2).transpose(1, 2) - self.mean) / self.std

    def decode(self, tokens):
        """[N, 16, 48] -> [N, 3, 64, 64]"""
        latent = self.c["latent"]
        x = (tokens * self.std + self.mean).transpose(1, 2)
        return self.decoder(x.unflatten(2, (latent["rows"], latent["columns"])))


class AudioCode(nn.Module):
    """Principal components of a frame's 800 samples; code [N, 16] of unit variance."""

    def __init__(self, c=CONFIG):
        super().__init__()
        self.register_buffer("mean", torch.zeros(c["samples_per_frame"]))
        self.register_buffer("basis", torch.zeros(c["audio_channels"], c["samples_per_frame"]))
        self.register_buffer("inverse", torch.zeros(c["audio_channels"], c["samples_per_frame"]))

    def encode(self, samples):
        return (samples - self.mean) @ self.inverse.t()

    def decode(self, code):
        """-> [N, 800], nominally in [-1, 1]"""
        return self.mean + code @ self.basis


class Localizer(nn.Module):
    """Latents of a seed image -> where it may have been taken: a first guess for the search."""

    def __init__(self, c=CONFIG):
        super().__init__()
        d, latent = c["localizer"], c["latent"]
        self.sizes = [d["bins"] ** 2, 2, d["headings"], len(c["themes"])]
        inputs = latent["rows"] * latent["columns"] * latent["channels"]
        self.layer1 = nn.Linear(inputs, d["width"])
        self.layer2 = nn.Linear(d["width"], d["width"])
        self.head = nn.Linear(d["width"], sum(self.sizes))

    def forward(self, tokens):
        """[N, 16, 48] -> logits of half-cell bins [N, 400] (20 * y + x), offset in the bin [N, 2]
        (cells), logits of headings [N, 36] (bin i is centred on 10 i degrees), of themes [N, 6]"""
        x = F.silu(self.layer2(F.silu(self.layer1(tokens.flatten(1)))))
        bins, offset, headings, themes = self.head(x).split(self.sizes, -1)
        return bins, offset, headings, themes


class World(nn.Module):
    """Everything that is shipped; the names of its parts begin the tensors' names."""

    def __init__(self, c=CONFIG):
        super().__init__()
        self.c = c
        self.prompt = Prompt(c)
        self.dynamics = Dynamics(c)
        self.rays = Rays(c)
        self.renderer = Renderer(c)
        self.dit = Dit(c)
        self.autoencoder = Autoencoder(c)
        self.audio = AudioCode(c)
        self.localizer = Localizer(c)
