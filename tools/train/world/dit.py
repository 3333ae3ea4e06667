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
APART = 4                # windows of a batch that are single frames, most of them with a wisp
LIT, LIT_WEIGHT = 0.5, 4  # a token whose estimate is off by more than that counts so much: a wisp
TOKENS = 18


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum for the blocks' matrices (Jordan et al., 2024), AdamW for the rest.
    Takes (name, parameter) pairs."""

    def __init__(self, parameters, rate, betas, weight_decay):
        matrices, others = [], []
        for name, p in parameters:
            (matrices if "blocks." in name and p.dim() == 2 and "modulation" not in name
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
            if momentum is not None:  # a checkpoint from before the first step
                self.state[p]["momentum"] = momentum
        self.adam.load_state_dict(state["adam"])
        self.param_groups[1:] = self.adam.param_groups


def masks():
    """What is added to the scores of keys (clean, noisy) for a query of each copy, 0 or much less, in
    a window and of frames that have nothing to do with each other -> [2, F 18, F 18],
    [2, F 18, 2 F 18]"""
    frame = torch.arange(FRAMES).repeat_interleave(TOKENS)
    age = frame[:, None] - frame
    past = (age >= 1) & (age <= CONFIG["dit"]["window"])
    own = age == 0
    none = torch.zeros_like(own)
    seen = (torch.stack([past | own, own]),
            torch.stack([torch.cat([past, own], 1), torch.cat([none, own], 1)]))
    return tuple(torch.where(part, 0.0, -1e4) for part in seen)


CLEAN_MASK, NOISY_MASK = masks()  # [2, ...]: of windows, of frames apart


def attend(q, k, v, mask):
    """scaled_dot_product_attention, written out: on CPUs its backward pass takes twice as long."""
    scores = q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2)
    return (scores + mask).softmax(-1).to(v.dtype) @ v


def both_passes(dit, b, context, notes, carried, level, video, audio):
    """b: a batch (below). context [N, F, 16, 48], notes [N, F, 6]: of the clean copies; carried
    [N, F, 6], level [N, F]: notes and sigmas of the noisy ones; video, audio: their noisy inputs.
    -> video, audio, notes."""
    count = b["latents"].shape[0]

    def embedded(sigma, latents, codes, note):
        facts = dit.facts(sigma.flatten(), *(b[k].flatten(0, 1) for k in
                                             ("before", "state", "action", "theme", "events")),
                          note.flatten(0, 1))
        x = dit.embed(latents.flatten(0, 1), b["estimate"].flatten(0, 1),
                      b["columns"].flatten(0, 1), codes.flatten(0, 1), facts)
        return x, dit.condition(facts), facts

    clean, clean_condition, _ = embedded(torch.zeros_like(level), context, b["codes"], notes)
    noisy, noisy_condition, facts = embedded(level, video, audio, carried)
    x, condition = torch.cat([clean, noisy]), torch.cat([clean_condition, noisy_condition])
    table = [part.repeat(2 * count, 1, 1, 1) for part in dit.rope(torch.arange(FRAMES))]
    apart = b["apart"].long()
    clean_mask, noisy_mask = (part[apart][:, None].to(torch.bfloat16)
                              for part in (CLEAN_MASK, NOISY_MASK))
    for block in dit.blocks:
        modulation = block.modulate(condition)
        q, k, v = (part.reshape(2, count, FRAMES * TOKENS, block.heads, -1).transpose(2, 3)
                   for part in block.attention_inputs(x, modulation, table))
        v = v.to(k.dtype)
        a = attend(q[0], k[0], v[0], clean_mask)
        c = attend(q[1], torch.cat([k[0], k[1]], 2), torch.cat([v[0], v[1]], 2), noisy_mask)
        attended = torch.stack([a, c]).transpose(2, 3).reshape(*x.shape[:2], block.heads, -1)
        x = block.finish(x, attended, modulation)
    half = len(clean)
    made = dit.head(x[half:], condition[half:], b["estimate"].flatten(0, 1), facts)
    return tuple(part.float().unflatten(0, (count, FRAMES)) for part in made)


def corrupted(latents):
    """Clean copies with noise of random strength: what is remembered is never perfect."""
    level = 0.4 * torch.rand(*latents.shape[:2], 1, 1) * (torch.rand(len(latents), 1, 1, 1) < 0.7)
    return latents + level * torch.randn_like(latents)


def faded(latents, estimate):
    """In half of the windows what the DiT had added is faint: pictures are not to be trusted where
    there is a note."""
    strength = torch.rand(*latents.shape[:2], 1, 1)
    kept = torch.where(torch.rand(len(latents), 1, 1, 1) < 0.5, strength, 1)
    return estimate + kept * (latents - estimate)


def noise_like(x):
    """Uniform with variance 1, as sessions draw it."""
    return (2 * torch.rand_like(x) - 1) * 3 ** 0.5


def note_of(wisp, state):
    """What is to be noted of a wisp [..., 6] by a player at `state` [..., 6] (model.Dit)"""
    sine, cosine = state[..., 2].sin(), state[..., 2].cos()

    def seen(v):  # ahead and to the right
        return [v[..., 0] * cosine + v[..., 1] * sine, v[..., 0] * sine - v[..., 1] * cosine]

    alive, place = wisp[..., 0], seen((wisp[..., 1:3] - state[..., :2]) / 2)
    note = torch.stack([alive, *place, *seen(10 * wisp[..., 3:5]), wisp[..., 5] / 8], -1)
    return alive[..., None] * note


def shaken(notes):
    """Notes a little off: what was noted is never quite right."""
    size = torch.rand(len(notes), 1, 1) * notes.new_tensor([0.01, 0.01, 0.02, 0.02])
    return notes + F.pad(notes[..., :1] * size * torch.randn(*notes.shape[:2], 4), (1, 1))


def note_loss(note, target, carried):
    """Place counts where something appears: from then on it follows from the speed."""
    there = F.binary_cross_entropy_with_logits(note[..., 0], target[..., 0])
    off = F.smooth_l1_loss(note[..., 1:], target[..., 1:], beta=0.01, reduction="none")
    place, speed, hidden = off[..., :2].sum(-1), off[..., 2:4].sum(-1), off[..., 4]
    alive = target[..., 0]
    return there + (alive * (10 * (1 - carried[..., 0]) * place + 4 * speed + hidden)).mean()


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

    def fates(self, first_stream):
        """Where a wisp appears, stays in sight, stays out of sight, is gone, where there is none:
        (tick, stream) pairs."""
        alive = self.data["wisps"][..., 0] > 0.5
        old, new, seen = alive[:-1], alive[1:], self.data["wisps"][1:, :, 5] < 0.5
        fates = ~old & new, old & new & seen, old & new & ~seen, old & ~new, ~old & ~new
        for where in fates:
            where[:, :first_stream] = False
        return [where.nonzero() for where in fates]

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
                "note": note_of(d["wisps"][t + 1, n], d["states"][t + 1, n]),
                "note before": note_of(d["wisps"][t, n], d["states"][t, n]), "events": d["events"][t, n],
                "action": d["actions"][t, n], "theme": self.eye[d["themes"][t, n]],
                "latents": d["latents"][t, n].float(), "codes": d["codes"][t, n],
                "estimate": d["estimates"][t, n].float(),
                "columns": columns.unflatten(0, t.shape)}


OWN_FROM = 2  # frames of a window that are always the truth: from them the rest is made


@torch.no_grad()
def fit_past(dit, data):
    """Where the notes' straight line begins: least squares of the speed of what stays there."""
    states, wisps = data["states"], data["wisps"]
    old, new = note_of(wisps[:-1], states[:-1]), note_of(wisps[1:], states[1:])
    stays = (old[..., 0] > 0) & (new[..., 0] > 0)
    carried = dit.carried(old, states[:-1], states[1:])[stays]
    theme = torch.eye(THEMES)[data["themes"][stays].long()]
    facts = dit.facts(torch.ones(len(carried)), states[:-1][stays], states[1:][stays],
                      data["actions"][stays], theme, data["events"][stays], carried)
    x = facts.double()
    square = x.t() @ x + 0.1 * torch.eye(x.shape[1])
    dit.note_past.weight.zero_()
    dit.note_past.weight[3:5] = torch.linalg.solve(square, x.t() @ new[stays][:, 3:5].double()).t()


def train_dit(world, minutes, autocast):
    walks, dit = Walks(world), world.dit
    ticks, streams = walks.data["themes"].shape
    held_out = 10
    loop = Loop("dit", dit, CACHE, minutes, rate=2e-3, optimizer=lambda p, *a, **k: Muon(
        dit.named_parameters(), *a, **k))
    passes = torch.compile(both_passes)  # a third faster on a CPU
    generator = torch.Generator().manual_seed(12 + loop.steps)
    torch.manual_seed(13 + loop.steps)
    if loop.steps == 0:
        fit_past(dit, walks.data)

    fates = walks.fates(held_out)

    def some(pairs, count):
        return pairs[torch.randint(len(pairs), (count,), generator=generator)]

    def batches():
        while True:
            n = torch.randint(held_out, streams, (WINDOWS - APART, 1), generator=generator)
            t = torch.randint(0, ticks - FRAMES, (WINDOWS - APART, 1), generator=generator)
            part = APART * FRAMES // 8  # each fate is to be told from the note alone
            single = torch.cat([some(f, count * part) for f, count in zip(fates, (2, 2, 2, 1, 1))])
            t = torch.cat([t + torch.arange(FRAMES), single[:, 0].view(APART, FRAMES)])
            n = torch.cat([n.expand(-1, FRAMES), single[:, 1].view(APART, FRAMES)])
            apart = torch.arange(WINDOWS) >= WINDOWS - APART
            yield walks.batch(world, t, n, apart), WINDOWS * FRAMES

    def carried(b, notes):
        """Of each frame, from the frame before in the window or, first or apart, in truth."""
        alone = b["apart"][:, None, None] | (torch.arange(FRAMES)[:, None] == 0)
        last = torch.where(alone, b["note before"], notes.roll(1, 1))
        return dit.carried(last, b["before"], b["state"])

    def forward(b, context, notes, level):
        wide = level[..., None, None]
        video = (1 - wide) * b["latents"] + wide * noise_like(b["latents"])
        audio = (1 - wide[..., 0]) * b["codes"] + wide[..., 0] * noise_like(b["codes"])
        with autocast():
            return passes(dit, b, context, notes, carried(b, notes), level, video, audio)

    @torch.no_grad()
    def played(b, rounds):
        """The window as the DiT itself goes on from its first frames: after r rounds exact for the
        first r frames that are its own. -> latents, notes"""
        latents, notes = b["latents"], b["note"]
        for _ in range(rounds):
            video, _, note = forward(b, latents, notes, torch.ones(latents.shape[:2]))
            latents = torch.cat([b["latents"][:, :OWN_FROM], video[:, OWN_FROM:]], 1)
            notes = torch.cat([notes[:, :OWN_FROM], dit.settled(note, carried(b, notes))[:, OWN_FROM:]], 1)
        return latents, notes

    def loss(b):
        shape = b["codes"].shape[:2]
        level = torch.where(torch.rand(shape) < 0.75, torch.ones(shape), torch.rand(shape))
        own = loop.elapsed > 0.75 * loop.seconds and torch.rand(()) < 0.7
        context, notes = played(b, int(torch.randint(1, 5, ())) if own else 0)
        notes = shaken(notes)
        video, audio, note = forward(b, corrupted(faded(context, b["estimate"])), notes, level)
        weight = 1 / level.clamp(min=0.5)
        lit = (b["latents"] - b["estimate"]).square().mean(-1) > LIT
        error = (video - b["latents"]).square().mean(-1) * (1 + (LIT_WEIGHT - 1) * lit)
        error = (error.mean(-1) * weight).mean()
        sound = ((audio - b["codes"]).square().mean(-1) * weight).mean()
        return error + 0.15 * sound + note_loss(note, b["note"], carried(b, notes))

    held_n = torch.arange(held_out).repeat(4)
    held = walks.windows(world, held_n, torch.arange(4).repeat_interleave(held_out) * 60)
    held["apart"] = held["apart"].bool()
    # Tokens that the wisp changes much: where the estimate is far off.
    lit = (held["latents"] - held["estimate"]).square().mean(-1) > LIT

    def evaluate():
        torch.manual_seed(14)
        lives = held["note"][..., 0] > 0.5
        new = (lives & (held["note before"][..., 0] < 0.5))[..., None] & torch.ones_like(lit)
        late = (torch.arange(FRAMES) >= 4)[:, None]
        before = (held["estimate"] - held["latents"]).square().mean(-1)
        ones = torch.ones(held["codes"].shape[:2])
        video, audio, note = forward(held, held["latents"], held["note"], ones)
        note = dit.settled(note, carried(held, held["note"]))
        error = (video - held["latents"]).square().mean(-1)
        alone, _, _ = forward(held | {"apart": torch.ones_like(held["apart"])}, held["latents"],
                              held["note"], ones)
        alone = (alone - held["latents"]).square().mean(-1)
        latents, notes = played(held, FRAMES)
        own = (latents - held["latents"]).square().mean(-1)
        old = lives & late[:, 0]

        def off(notes):
            return 2 * (notes - held["note"])[old][:, 1:3].norm(dim=-1).median().item()

        return {"wisp tokens": error[lit & late].mean().item(),
                "new wisps": error[lit & new].mean().item(),
                "from notes alone": alone[lit & late].mean().item(),
                "played": own[lit & late].mean().item(),
                "renderer's": before[lit & late].mean().item(),
                "others": error[~lit & late].mean().item(),
                "others, renderer's": before[~lit & late].mean().item(),
                "sound": (audio - held["codes"]).square().mean().item(),
                "cells off": off(note), "played, cells off": off(notes),
                "played, gone": 1 - notes[old][:, 0].mean().item(),
                "played, not gone": notes[held["note"][..., 0] < 0.5][:, 0].mean().item()}

    loop.run(batches, loss, evaluate, 120)
