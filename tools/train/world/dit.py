"""Training of the DiT on windows of walks.

A window holds every frame twice. The clean copy runs at sigma 0 as the commit pass does, and only
its keys and values count; the noisy copy attends to the clean copies before it and to itself, as a
denoise pass does, and is scored. So both passes are trained exactly as they are used.
"""

import torch
from torch import nn
from torch.nn import functional as F

from tools.train.voice.loop import Loop
from tools.train.world.model import CONFIG
from tools.train.world.simulator import CACHE, THEMES

FRAMES, WINDOWS = 14, 8  # a window's frames; windows of a batch
APART = 3                # windows of a batch that are single frames, most of which a wisp appears in
TOKENS = 18


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum for the blocks' matrices (Jordan et al., 2024), AdamW for the rest.
    Takes (name, parameter) pairs."""

    def __init__(self, parameters, rate, betas, weight_decay):
        matrices, others = [], []
        for name, p in parameters:
            (matrices if ".blocks." in name and p.dim() == 2 and "modulation" not in name
             else others).append(p)
        super().__init__([{"params": matrices, "lr": rate}], {})
        self.adam = torch.optim.AdamW(others, rate, betas, weight_decay=weight_decay)
        self.param_groups += self.adam.param_groups

    @staticmethod
    def orthogonal(g):
        """Newton-Schulz: about the nearest matrix with singular values of 1."""
        x = g.bfloat16() / (g.norm() + 1e-7)
        tall = x.shape[0] > x.shape[1]
        x = x.t() if tall else x
        for _ in range(5):
            a = x @ x.t()
            x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
        return (x.t() if tall else x).float()

    @torch.no_grad()
    def step(self, closure=None):
        group = self.param_groups[0]
        for p in group["params"]:
            momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
            momentum.lerp_(p.grad, 0.05)
            update = self.orthogonal(p.grad.lerp(momentum, 0.95))
            scale = max(1, p.shape[0] / p.shape[1]) ** 0.5
            p.mul_(1 - 0.1 * group["lr"]).add_(update, alpha=-10 * group["lr"] * scale)
        self.adam.step()

    def zero_grad(self, set_to_none=True):
        self.adam.zero_grad(set_to_none)
        for p in self.param_groups[0]["params"]:
            p.grad = None

    def state_dict(self):
        momenta = [self.state[p].get("momentum") for p in self.param_groups[0]["params"]]
        return {"muon": momenta, "adam": self.adam.state_dict()}

    def load_state_dict(self, state):
        for p, momentum in zip(self.param_groups[0]["params"], state["muon"]):
            self.state[p]["momentum"] = momentum
        self.adam.load_state_dict(state["adam"])
        self.param_groups[1:] = self.adam.param_groups


class Student(nn.Module):
    """The DiT and a head that tells the wisp's place from the state token: it is only there to
    make the DiT remember, and is not shipped."""

    def __init__(self, dit):
        super().__init__()
        self.dit = dit
        self.wisp = nn.Linear(CONFIG["dit"]["width"], 3)


def masks():
    """Which keys (clean, noisy) a query of each copy sees, in a window and of frames that have
    nothing to do with each other -> bool [2, F 18, F 18], [2, F 18, 2 F 18]"""
    frame = torch.arange(FRAMES).repeat_interleave(TOKENS)
    age = frame[:, None] - frame
    past = (age >= 1) & (age <= CONFIG["dit"]["window"])
    own = age == 0
    none = torch.zeros_like(own)
    return (torch.stack([past | own, own]),
            torch.stack([torch.cat([past, own], 1), torch.cat([none, own], 1)]))


CLEAN_MASK, NOISY_MASK = masks()  # [2, ...]: of windows, of frames apart


def both_passes(student, b, context, level, video, audio):
    """b: a batch (below). context [N, F, 16, 48]: latents of the clean copies; level [N, F]: sigma
    of the noisy ones; video, audio: their noisy inputs. -> video, audio, wisp predictions."""
    dit, count = student.dit, b["latents"].shape[0]

    def embedded(sigma, latents, codes):
        facts = dit.facts(sigma.flatten(), *(b[k].flatten(0, 1) for k in
                                             ("before", "state", "action", "theme", "events")))
        x = dit.embed(latents.flatten(0, 1), b["estimate"].flatten(0, 1),
                      b["columns"].flatten(0, 1), codes.flatten(0, 1), facts)
        return x, dit.condition(facts)

    clean, clean_condition = embedded(torch.zeros_like(level), context, b["codes"])
    noisy, noisy_condition = embedded(level, video, audio)
    x, condition = torch.cat([clean, noisy]), torch.cat([clean_condition, noisy_condition])
    table = [part.repeat(2 * count, 1, 1, 1) for part in dit.rope(torch.arange(FRAMES))]
    apart = b["apart"].long()
    clean_mask, noisy_mask = CLEAN_MASK[apart][:, None], NOISY_MASK[apart][:, None]
    for block in dit.blocks:
        modulation = block.modulate(condition)
        q, k, v = (part.reshape(2, count, FRAMES * TOKENS, block.heads, -1).transpose(2, 3)
                   for part in block.attention_inputs(x, modulation, table))
        v = v.to(k.dtype)
        a = F.scaled_dot_product_attention(q[0], k[0], v[0], clean_mask)
        c = F.scaled_dot_product_attention(q[1], torch.cat([k[0], k[1]], 2),
                                           torch.cat([v[0], v[1]], 2), noisy_mask)
        attended = torch.stack([a, c]).transpose(2, 3).reshape(*x.shape[:2], block.heads, -1)
        x = block.finish(x, attended, modulation)
    half = len(clean)
    video, audio = dit.head(x[half:], condition[half:], b["estimate"].flatten(0, 1))
    return (video.float().unflatten(0, (count, FRAMES)),
            audio.float().unflatten(0, (count, FRAMES)),
            student.wisp(x[half:, -1]).float().unflatten(0, (count, FRAMES)))


def corrupted(latents):
    """Clean copies with noise of random strength: what is remembered is never perfect."""
    level = 0.4 * torch.rand(*latents.shape[:2], 1, 1) * (torch.rand(len(latents), 1, 1, 1) < 0.7)
    return latents + level * torch.randn_like(latents)


def noise_like(x):
    """Uniform with variance 1, as sessions draw it."""
    return (2 * torch.rand_like(x) - 1) * 3 ** 0.5


def wisp_targets(b):
    """-> alive [N, F], place in the player's frame [N, F, 2]: ahead and to the right, cells / 2"""
    wisp, state = b["wisp"], b["state"]
    offset, heading = wisp[..., 1:3] - state[..., :2], state[..., 2]
    sine, cosine = heading.sin(), heading.cos()
    ahead = offset[..., 0] * cosine + offset[..., 1] * sine
    right = offset[..., 0] * sine - offset[..., 1] * cosine
    return wisp[..., 0], torch.stack([ahead, right], -1) / 2


class Walks:
    """Windows of the streams of train.make_pools(), with the renderer's estimates. The first
    streams are those of walks.pt."""

    def __init__(self, world):
        pools = [torch.load(CACHE / name, weights_only=True) for name in ("walks.pt", "births.pt")]
        self.data = {key: torch.cat([pool[key] for pool in pools], 1) for key in pools[0]}
        self.eye = torch.eye(THEMES)
        path = CACHE / "estimates.pt"
        if not path.exists():
            torch.save(self._estimates(world), path)
        self.data |= torch.load(path, weights_only=True)

    @torch.inference_mode()
    def _estimates(self, world):
        states = self.data["states"][1:]
        estimates, features = [], []
        for state, theme in zip(states, self.data["themes"]):
            pose = state[:, :3]
            f = world.rays(pose, world.rays.depth(pose))
            estimates.append(world.renderer(world.renderer.columns(f), self.eye[theme]).bfloat16())
            features.append(f.bfloat16())
        return {"estimates": torch.stack(estimates), "features": torch.stack(features)}

    def births(self, first_stream):
        """Where a wisp appears, and where there is none: (tick, stream) pairs."""
        alive = self.data["wisps"][..., 0] > 0.5
        born = ~alive[:-1] & alive[1:]
        none = ~alive[:-1] & ~alive[1:]
        born[:, :first_stream] = none[:, :first_stream] = False
        return born.nonzero(), none.nonzero()

    def windows(self, world, streams, starts):
        """Windows beginning at tick `starts` of `streams`."""
        t = starts[:, None] + torch.arange(FRAMES)
        return self.batch(world, t, streams[:, None].expand_as(t), torch.zeros(len(t)))

    def batch(self, world, t, n, apart):
        """Ticks t of streams n [N, F], apart [N]: frames that do not see each other -> dict of
        [N, F, ...]"""
        d = self.data
        columns = world.renderer.columns(d["features"][t, n].float().flatten(0, 1))
        return {"apart": apart, "before": d["states"][t, n], "state": d["states"][t + 1, n],
                "wisp": d["wisps"][t + 1, n], "events": d["events"][t, n],
                "action": d["actions"][t, n], "theme": self.eye[d["themes"][t, n]],
                "latents": d["latents"][t, n].float(), "codes": d["codes"][t, n],
                "estimate": d["estimates"][t, n].float(),
                "columns": columns.unflatten(0, t.shape)}


def train_dit(world, minutes, autocast):
    walks, student = Walks(world), Student(world.dit)
    ticks, streams = walks.data["themes"].shape
    held_out = 10
    loop = Loop("dit", student, CACHE, minutes, rate=2e-3, optimizer=lambda p, *a, **k: Muon(
        student.named_parameters(), *a, **k))
    generator = torch.Generator().manual_seed(12 + loop.steps)
    torch.manual_seed(13 + loop.steps)

    born, none = walks.births(held_out)

    def some(pairs, count):
        return pairs[torch.randint(len(pairs), (count,), generator=generator)]

    def batches():
        while True:
            n = torch.randint(held_out, streams, (WINDOWS - APART, 1), generator=generator)
            t = torch.randint(0, ticks - FRAMES, (WINDOWS - APART, 1), generator=generator)
            frames = APART * FRAMES
            single = torch.cat([some(born, frames * 3 // 4), some(none, frames - frames * 3 // 4)])
            t = torch.cat([t + torch.arange(FRAMES), single[:, 0].view(APART, FRAMES)])
            n = torch.cat([n.expand(-1, FRAMES), single[:, 1].view(APART, FRAMES)])
            apart = torch.arange(WINDOWS) >= WINDOWS - APART
            yield walks.batch(world, t, n, apart), WINDOWS * FRAMES

    def forward(b, context, level):
        wide = level[..., None, None]
        video = (1 - wide) * b["latents"] + wide * noise_like(b["latents"])
        audio = (1 - wide[..., 0]) * b["codes"] + wide[..., 0] * noise_like(b["codes"])
        with autocast():
            return both_passes(student, b, context, level, video, audio)

    def loss(b):
        shape = b["codes"].shape[:2]
        level = torch.where(torch.rand(shape) < 0.75, torch.ones(shape), torch.rand(shape))
        context = b["latents"]
        if loop.elapsed > 0.5 * loop.seconds and torch.rand(()) < 0.6:
            with torch.no_grad():  # its own results as context
                context = forward(b, context, torch.ones(shape))[0]
        video, audio, wisp = forward(b, corrupted(context), level)
        weight = 1 / level.clamp(min=0.5)
        error = ((video - b["latents"]).square().mean((-1, -2)) * weight).mean()
        sound = ((audio - b["codes"]).square().mean(-1) * weight).mean()
        alive, place = wisp_targets(b)
        known = alive.clone()
        known[:, :2] = 0  # nothing can be known yet
        aside = (F.binary_cross_entropy_with_logits(wisp[..., 0], alive)
                 + ((wisp[..., 1:] - place).square().sum(-1) * known).mean())
        return error + 0.15 * sound + 0.1 * aside

    held_n = torch.arange(held_out).repeat(4)
    held = walks.windows(world, held_n, torch.arange(4).repeat_interleave(held_out) * 60)
    # Tokens that the wisp changes much: where the estimate is far off.
    lit = (held["latents"] - held["estimate"]).square().mean(-1) > 0.5

    def evaluate():
        torch.manual_seed(14)
        video, audio, wisp = forward(held, held["latents"], torch.ones(held["codes"].shape[:2]))
        lives = held["wisp"][..., 0] > 0.5
        new = torch.zeros_like(lit)
        new[:, 1:] = (lives[:, 1:] & ~lives[:, :-1])[..., None]
        late = torch.zeros_like(lit)
        late[:, 4:] = True
        error = (video - held["latents"]).square().mean(-1)
        before = (held["estimate"] - held["latents"]).square().mean(-1)
        alive, place = wisp_targets(held)
        off = 2 * (wisp[..., 1:] - place).norm(dim=-1)[:, 4:][alive[:, 4:] > 0]
        return {"wisp tokens": error[lit & late].mean().item(),
                "new wisps": error[lit & new].mean().item(),
                "renderer's": before[lit & late].mean().item(),
                "others": error[~lit & late].mean().item(),
                "others, renderer's": before[~lit & late].mean().item(),
                "sound": (audio - held["codes"]).square().mean().item(),
                "wisp cells off": off.median().item()}

    loop.run(batches, loss, evaluate, 120)
