"""Trains and exports the state-dit world, from nothing:

    python -m tools.train.world.train [--bf16] [--stages "autoencoder dynamics ..."]

Stages: autoencoder -> dynamics -> sound -> prompt -> depth -> pool (frames as latents) -> renderer
-> localizer -> dit -> export. Each leaves its result in the cache folder and is skipped when that
is there; an interrupted stage goes on from its checkpoint. All data come from simulator.cc.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from tools.train.voice.loop import Loop, averaged
from tools.train.world import simulator
from tools.train.world.model import CONFIG, World, word_bag
from tools.train.world.phrases import HELD_OUT, TRAINING
from tools.train.world.simulator import CACHE, THEMES

BF16 = False


def autocast():
    return torch.autocast("cpu", torch.bfloat16, enabled=BF16)


def pictures(frames):
    """uint8 [N, 64, 64, 3] -> float32 [N, 3, 64, 64] in [0, 1]"""
    return torch.as_tensor(frames).permute(0, 3, 1, 2).float() / 255


def psnr(a, b):
    """Of mean MSE, in dB."""
    return -10 * torch.log10((a.clamp(0, 1) - b).square().mean())


# --- autoencoder --------------------------------------------------------------------------------

def mixed_frames(rng, n):
    """Pictures at uniform poses in all themes, most with a wisp. -> [n, 3, 64, 64]"""
    states = simulator.uniform_states(rng, n)
    themes = rng.integers(0, THEMES, n)
    return pictures(simulator.render(states, themes, simulator.wisps_in_sight(rng, states)))


def gradients(x):
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def train_autoencoder(world, minutes):
    model = world.autoencoder
    loop = Loop("autoencoder", model, CACHE, minutes)
    rng, held = np.random.default_rng(1 + loop.steps), mixed_frames(np.random.default_rng(0), 256)

    def batches():
        while True:
            yield mixed_frames(rng, 24), 24

    def loss(x):
        with autocast():
            z = model.encode(x)
            y = model.decode(z + 0.05 * torch.randn_like(z))
        y, z = y.float(), z.float()
        error = sum((a - b).abs().mean() for a, b in zip(gradients(y), gradients(x)))
        return (F.l1_loss(y, x) + 2 * F.mse_loss(y, x) + 0.5 * error
                + 1e-4 * z.square().mean())

    loop.run(batches, loss, lambda: {"PSNR dB": psnr(model.decode(model.encode(held)), held).item()})
    whiten(model, loop)


def whiten(model, loop):
    """Latents of unit variance per channel; written into the stage's averaged weights."""
    with torch.inference_mode():
        x = mixed_frames(np.random.default_rng(2), 2000)
        model.mean.zero_()
        model.std.fill_(1)
        z = torch.cat([model.encode(part) for part in x.split(100)]).flatten(0, 1)
    loop.average["mean"], loop.average["std"] = z.mean(0), z.std(0)
    loop._save()


# --- dynamics -----------------------------------------------------------------------------------

def transitions(rng, n, noise):
    """Half of the states pushed against walls. -> state, action, next state"""
    states, actions = simulator.uniform_states(rng, n), simulator.mashed_keys(rng, n)
    states[:, 4] = rng.random(n) < 0.3
    states[:, 5] = np.where(rng.random(n) < 0.5, 0, rng.integers(0, 6, n))
    for _ in range(rng.integers(1, 12)):
        states[:n // 2] = simulator.advance(states[:n // 2], actions[:n // 2])
    following = simulator.advance(states, actions)
    if noise:  # the clean next state is the target, so that walls push the state back
        scale = rng.choice([0, 0.004, 0.02], (n, 1), p=[0.4, 0.5, 0.1])
        states[:, :2] += rng.normal(0, 1, (n, 2)) * scale
    return [torch.as_tensor(x) for x in (states, actions, following)]


def dynamics_loss(model, batch):
    state, action, following = batch
    motion, *logits = model(state, action)
    d = CONFIG["dynamics"]
    turn = following[:, 2] - state[:, 2]
    turn = turn - 2 * np.pi * torch.floor(turn / (2 * np.pi) + 0.5)
    target = torch.cat([(following[:, :2] - state[:, :2]) / d["move"], turn[:, None] / d["turn"]],
                       -1)
    loss = F.smooth_l1_loss(motion, target, beta=0.03)
    for i, part in enumerate(logits):
        loss = loss + 0.1 * F.cross_entropy(part, following[:, 3 + i].long())
    return loss


def roll_out_error(model, ticks=500, streams=64):
    """Median distance from the simulator, in cells, and the share of states in a wall."""
    rng = np.random.default_rng(5)
    actions = simulator.scripts(rng, streams, ticks)
    true, _, _ = simulator.play(rng, simulator.uniform_states(rng, streams), actions)
    state = torch.as_tensor(true[0])
    for action in torch.as_tensor(actions):
        state = model.advance(state, action)
    error = np.hypot(*(state.numpy() - true[-1])[:, :2].T)
    return {"cells off": float(np.median(error)), "cells off p90": float(np.quantile(error, 0.9)),
            "in walls": 1 - simulator.free(state.numpy()).mean()}


def train_dynamics(world, clean_minutes, noisy_minutes):
    model = world.dynamics
    for name, minutes, rate, noise in (("dynamics-clean", clean_minutes, 3e-3, False),
                                       ("dynamics", noisy_minutes, 2e-3, True)):
        loop = Loop(name, model, CACHE, minutes, rate=rate)
        rng = np.random.default_rng(3 + loop.steps)

        def batches():
            while True:
                yield transitions(rng, 1536, noise), 1536

        loop.run(batches, lambda batch: dynamics_loss(model, batch), lambda: roll_out_error(model),
                 100)


# --- everything ---------------------------------------------------------------------------------

STAGES = "autoencoder dynamics sound prompt depth pool renderer localizer dit export"


def latest_world():
    """The world as far as it has been trained (also from running stages)."""
    torch.manual_seed(1)
    world = World()
    for name, module in (("autoencoder", world.autoencoder), ("dynamics", world.dynamics)):
        if (weights := averaged(CACHE, name)) is not None:
            module.load_state_dict(weights)
    return world


def main():
    global BF16
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="models/state-dit-rooms")
    parser.add_argument("--stages", default=STAGES)
    parser.add_argument("--autoencoder-minutes", type=float, default=25)
    parser.add_argument("--dynamics-minutes", type=float, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bf16", action="store_true", help="faster on CPUs with AVX512-BF16 only")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    BF16 = a.bf16
    stages = a.stages.split()
    world = latest_world()
    if "autoencoder" in stages:
        train_autoencoder(world, a.autoencoder_minutes)
    if "dynamics" in stages:
        train_dynamics(world, 0.3 * a.dynamics_minutes, 0.7 * a.dynamics_minutes)


if __name__ == "__main__":
    main()
