"""Trains and exports the state-dit world, from nothing:

    python -m tools.train.world.train [--bf16] [--stages "autoencoder dynamics ..."]

Stages: autoencoder -> dynamics -> sound -> prompt -> depth -> pool (frames as latents) -> renderer
-> decoder (again, on the renderer's latents) -> localizer -> dit -> export. Each leaves its result
in the cache folder and is skipped when that is there; an interrupted stage goes on from its
checkpoint. All data come from simulator.cc.
"""

import argparse
import ctypes
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from tools.train.voice.loop import Loop, averaged
from tools.train.voice.plot import write_curves
from tools.train.world import simulator
from tools.train.world.dit import train_dit
from tools.train.world.export import export
from tools.train.world.model import CONFIG, World, word_bag
from tools.train.world.phrases import HELD_OUT, TRAINING
from tools.train.world.simulator import CACHE, EVENT_RANGE, THEMES

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


def picture_loss(y, x):
    error = sum((a - b).abs().mean() for a, b in zip(gradients(y), gradients(x)))
    return F.l1_loss(y, x) + 2 * F.mse_loss(y, x) + 0.5 * error


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
        return picture_loss(y, x) + 1e-4 * z.square().mean()

    loop.run(batches, loss, lambda: {"PSNR dB": psnr(model.decode(model.encode(held)), held).item()})


# --- dynamics -----------------------------------------------------------------------------------

def transitions(rng, n, noise, standing=0):
    """Half of the states pushed against walls; noise: strength of errors put on the place;
    standing: share in which no key moves. -> state, action, next state"""
    states, actions = simulator.uniform_states(rng, n), simulator.mashed_keys(rng, n)
    states[:, 4] = rng.random(n) < 0.3
    states[:, 5] = np.where(rng.random(n) < 0.5, 0, rng.integers(0, 6, n))
    for _ in range(rng.integers(1, 12)):
        states[:n // 2] = simulator.advance(states[:n // 2], actions[:n // 2])
    actions[rng.random(n) < standing, :4] = 0
    following = simulator.advance(states, actions)
    if noise:  # the clean next state is the target, so that walls push the state back
        scale = noise * rng.choice([0, 0.004, 0.02], (n, 1), p=[0.4, 0.5, 0.1])
        states[:, :2] += rng.normal(0, 1, (n, 2)) * scale
    return [torch.as_tensor(x) for x in (states, actions, following)]


def close_calls(rng, n, noise):
    """Half of them transitions in which it is close whether the player collides (simulator.cc: when
    a wall takes more than .03 cells of a step): what is wrong there is heard as a bump. A quarter of
    the others stand still or turn: a step counted there shifts every later footstep."""
    state, action, following = transitions(rng, 4 * n, noise, standing=0.25)
    way = torch.stack([action[:, 0] - action[:, 1], action[:, 3] - action[:, 2]], -1)
    meant = 0.08 * (way.abs().sum(-1) > 0)
    went = torch.linalg.vector_norm(following[:, :2] - state[:, :2], dim=-1)
    kept = torch.cat([(meant - went - 0.03).abs().topk(n // 2, largest=False).indices,
                      torch.arange(n // 2)])
    return [part[kept] for part in (state, action, following)]


def dynamics_loss(model, batch, beta, weight):
    state, action, following = batch
    motion, *logits = model(state, action)
    d = CONFIG["dynamics"]
    turn = following[:, 2] - state[:, 2]
    turn = turn - 2 * np.pi * torch.floor(turn / (2 * np.pi) + 0.5)
    target = torch.cat([(following[:, :2] - state[:, :2]) / d["move"], turn[:, None] / d["turn"]],
                       -1)
    loss = F.smooth_l1_loss(motion, target, beta=beta)
    for i, part in enumerate(logits):
        loss = loss + weight * F.cross_entropy(part, following[:, 3 + i].long())
    return loss


def roll_out_error(model, ticks=500, streams=64):
    """Median distance from the simulator, in cells, and the share of states well inside a wall."""
    rng = np.random.default_rng(5)
    actions = simulator.scripts(rng, streams, ticks)
    true, _, _ = simulator.play(rng, simulator.uniform_states(rng, streams), actions)
    state = torch.as_tensor(true[0])
    for action in torch.as_tensor(actions):
        state = model.advance(state, action)
    error = np.hypot(*(state.numpy() - true[-1])[:, :2].T)
    return {"cells off": float(np.median(error)), "cells off p90": float(np.quantile(error, 0.9)),
            "in walls": float(1 - simulator.free(state.numpy(), 0.1).mean())}


def train_dynamics(world, minutes):
    """Clean, then with errors that the walls push back, then finer ones; last what decides whether
    the player collides."""
    model = world.dynamics
    for name, share, rate, noise, beta, weight, draw in (
            ("dynamics-clean", 0.05, 3e-3, 0, 0.03, 0.1, transitions),
            ("dynamics-noisy", 0.11, 2e-3, 1, 0.03, 0.1, transitions),
            ("dynamics-finer", 0.17, 1e-3, 0.4, 0.01, 0.1, transitions),
            ("dynamics-finest", 0.29, 1e-3, 0.15, 0.005, 0.5, transitions),
            ("dynamics", 0.38, 1e-3, 0.15, 0.003, 2, close_calls)):
        loop = Loop(name, model, CACHE, share * minutes, rate=rate)
        rng = np.random.default_rng(3 + loop.steps)

        def batches():
            while True:
                yield draw(rng, 1536, noise), 1536

        loop.run(batches, lambda batch: dynamics_loss(model, batch, beta, weight),
                 lambda: roll_out_error(model), 100)


# --- sound and prompt ----------------------------------------------------------------------------

def walk(rng, streams, ticks, start=None):
    """Random scripts. -> states [T + 1, n, 6], wisps [T + 1, n, 6], events [T, n, 4], actions"""
    actions = simulator.scripts(rng, streams, ticks)
    start = simulator.uniform_states(rng, streams) if start is None else start
    return *simulator.play(rng, start, actions), actions


def fit_sound(world):
    """Principal components of the ticks' sounds."""
    if (CACHE / "sound.pt").exists():
        return
    rng, module = np.random.default_rng(6), world.audio
    states, _, _, _ = walk(rng, 400, 40)
    before, after = states[:-1].reshape(-1, 6), states[1:].reshape(-1, 6)
    x = torch.as_tensor(simulator.sound(before, after, rng.integers(0, THEMES, len(before))))
    module.mean.copy_(x.mean(0))
    _, values, vectors = torch.linalg.svd((x - module.mean).double(), full_matrices=False)
    n = CONFIG["audio_channels"]
    scale = (values[:n] / len(x) ** 0.5).clamp(min=1e-3)[:, None]
    module.basis.copy_(vectors[:n] * scale)
    module.inverse.copy_(vectors[:n] / scale)
    error = (module.decode(module.encode(x)) - x).square().mean()
    print(f"sound: signal to noise {10 * torch.log10(x.square().mean() / error):.1f} dB, "
          f"spectrum {[round(v.item(), 4) for v in values[:n + 1] / len(x) ** 0.5]}", flush=True)
    torch.save(module.state_dict(), CACHE / "sound.pt")


def train_prompt(world):
    """Logistic regression on word bags; words are dropped at random, so that single ones count."""
    if (CACHE / "prompt.pt").exists():
        return
    texts = [(text, theme) for theme, group in enumerate(TRAINING) for text in group]
    bags = torch.stack([word_bag(text, CONFIG["prompt_buckets"]) for text, _ in texts])
    themes = torch.tensor([theme for _, theme in texts])
    common = (bags > 0).float().sum(0) > 6  # words like "the" say nothing
    optimizer = torch.optim.AdamW(world.prompt.parameters(), 0.03, weight_decay=0.01)
    for _ in range(600):
        x = bags * (torch.rand_like(bags) > 0.3) * ~common
        loss = F.cross_entropy(world.prompt(x), themes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    world.prompt.linear.weight.data[:, common] = 0
    right = [world.prompt(word_bag(t, CONFIG["prompt_buckets"])[None]).argmax().item() == theme
             for theme, group in enumerate(HELD_OUT) for t in group]
    print(f"prompt: held-out wordings {np.mean(right):.3f}", flush=True)
    torch.save(world.prompt.state_dict(), CACHE / "prompt.pt")


# --- depth --------------------------------------------------------------------------------------

def train_depth(world, minutes):
    """The density map alone, on the simulator's depth: it does not form from pictures."""
    module = torch.nn.ParameterDict({"density": world.rays.density})
    loop = Loop("depth", module, CACHE, minutes, rate=0.05, decay=0.0)
    rng = np.random.default_rng(7 + loop.steps)

    def batch_of(rng, n):
        states = simulator.uniform_states(rng, n)
        return torch.as_tensor(states[:, :3]), torch.as_tensor(simulator.depth(states))

    held = batch_of(np.random.default_rng(8), 512)

    def batches():
        while True:
            yield batch_of(rng, 64), 64

    def loss(batch):
        pose, target = batch
        depth = world.rays.depth(pose)
        return (depth / target).log().abs().mean() + 0.3 * (depth - target).abs().mean()

    def evaluate():
        error = (world.rays.depth(held[0]) - held[1]).abs()
        return {"median error cells": error.median().item(), "mean": error.mean().item()}

    loop.run(batches, loss, evaluate, 30)


# --- frames as latents --------------------------------------------------------------------------

POSES, STREAMS, TICKS = 180000, 200, 250


@torch.inference_mode()
def encoded(world, states, themes, wisps):
    """-> bf16 [n, 16, 48]"""
    parts = []
    for i in range(0, len(states), 250):
        part = slice(i, i + 250)
        frames = simulator.render(states[part], themes[part], None if wisps is None
                                  else wisps[part])
        with autocast():
            parts.append(world.autoencoder.encode(pictures(frames)).bfloat16())
        if i % 15000 == 0:
            print(f"pool: {i} of {len(states)}", flush=True)
    return torch.cat(parts)


def make_pools(world):
    """poses.pt: single poses without a wisp, a third of them after a walk. walks.pt: streams of
    one theme each, with wisps; births.pt: more of them, in which wisps come and go in haste."""
    rng = np.random.default_rng(9)
    if not (CACHE / "poses.pt").exists():
        states = simulator.uniform_states(rng, POSES)
        states[::3] = walk(rng, len(states[::3]), 30, states[::3])[0][-1]
        themes = rng.integers(0, THEMES, POSES)
        torch.save({"pose": torch.as_tensor(states[:, :3]), "theme": torch.as_tensor(themes),
                    "latents": encoded(world, states, themes, None)}, CACHE / "poses.pt")
    if not (CACHE / "walks.pt").exists():
        torch.save(streams_pool(world, rng, STREAMS, None), CACHE / "walks.pt")
    if not (CACHE / "births.pt").exists():
        events = hurried_events(np.random.default_rng(16), TICKS, 2 * STREAMS)
        torch.save(streams_pool(world, np.random.default_rng(17), 2 * STREAMS, events),
                   CACHE / "births.pt")


def hurried_events(rng, ticks, streams):
    """Events in which wisps come at once and soon go: where one appears is learned from many."""
    events = rng.uniform(-EVENT_RANGE, EVENT_RANGE, (ticks, streams, 4)).astype(np.float32)
    came, went = rng.random((ticks, streams)) < 0.5, rng.random((ticks, streams))
    events[..., 0] = np.where(came, rng.uniform(1.35, EVENT_RANGE, came.shape), events[..., 0])
    ends = went < rng.uniform(0.02, 0.35, streams)
    events[..., 3] = np.where(ends, rng.uniform(1.712, EVENT_RANGE, ends.shape), events[..., 3])
    return events


def streams_pool(world, rng, streams, events):
    """Everything about streams of one theme each, [TICKS, streams, ...] (states and wisps one more)."""
    actions = simulator.scripts(rng, streams, TICKS)
    states, wisps, events = simulator.play(rng, simulator.uniform_states(rng, streams), actions,
                                           events)
    themes = np.tile(rng.integers(0, THEMES, streams), (TICKS, 1))
    after = states[1:].reshape(-1, 6)
    latents = encoded(world, after, themes.ravel(), wisps[1:].reshape(-1, 6))
    samples = simulator.sound(states[:-1].reshape(-1, 6), after, themes.ravel())
    codes = world.audio.encode(torch.as_tensor(samples))
    arrays = {"states": states, "wisps": wisps, "events": events, "actions": actions,
              "themes": themes}
    return {name: torch.as_tensor(value) for name, value in arrays.items()} | {
        "latents": latents.unflatten(0, (TICKS, streams)),
        "codes": codes.unflatten(0, (TICKS, streams))}


# --- renderer and localizer ---------------------------------------------------------------------

def train_renderer(world, minutes):
    pool = torch.load(CACHE / "poses.pt", weights_only=True)
    count, eye = len(pool["pose"]) - 1000, torch.eye(THEMES)
    world.rays.density.requires_grad_(False)
    module = torch.nn.ModuleDict({"rays": world.rays, "renderer": world.renderer})
    loop = Loop("renderer", module, CACHE, minutes, rate=3e-3)
    generator = torch.Generator().manual_seed(10 + loop.steps)

    def batches():
        while True:
            for index in torch.randperm(count, generator=generator).split(128):
                yield index, len(index)

    def error(index):
        pose, theme = pool["pose"][index], eye[pool["theme"][index]]
        with torch.no_grad():
            depth = world.rays.depth(pose)
        with autocast():
            columns = world.renderer.columns(world.rays(pose, depth))
            estimate = world.renderer(columns, theme)
        return F.mse_loss(estimate.float(), pool["latents"][index].float())

    held = torch.arange(count, count + 1000)
    loop.run(batches, error, lambda: {"held-out latent MSE": error(held).item()}, 120)


def train_localizer(world, minutes):
    poses = torch.load(CACHE / "poses.pt", weights_only=True)
    walks = torch.load(CACHE / "walks.pt", weights_only=True)
    latents = torch.cat([poses["latents"], walks["latents"].flatten(0, 1)])
    pose = torch.cat([poses["pose"], walks["states"][1:, :, :3].flatten(0, 1)])
    theme = torch.cat([poses["theme"], walks["themes"].flatten()])
    d = CONFIG["localizer"]
    size, turn = 10 / d["bins"], 2 * np.pi / d["headings"]
    cell = (pose[:, :2] / size).floor().clamp(0, d["bins"] - 1)
    offset = pose[:, :2] - (cell + 0.5) * size
    bins = (cell[:, 1] * d["bins"] + cell[:, 0]).long()
    heading = (pose[:, 2] / turn).round().long() % d["headings"]
    held = torch.arange(POSES - 1000, POSES)
    used = torch.cat([torch.arange(POSES - 1000), torch.arange(POSES, len(pose))])
    loop = Loop("localizer", world.localizer, CACHE, minutes, rate=2e-3)
    generator = torch.Generator().manual_seed(11 + loop.steps)

    def batches():
        while True:
            for index in used[torch.randperm(len(used), generator=generator)].split(256):
                yield index, len(index)

    def loss(index):
        x = latents[index].float()
        x = x + 0.1 * torch.randn_like(x) * world.localizer.training
        a, b, c, e = world.localizer(x)
        return (F.cross_entropy(a, bins[index]) + 8 * F.mse_loss(b, offset[index])
                + F.cross_entropy(c, heading[index]) + 0.3 * F.cross_entropy(e, theme[index]))

    def evaluate():
        a, _, c, e = world.localizer(latents[held].float())
        top = a.topk(d["positions"]).indices == bins[held][:, None]
        return {"loss": loss(held).item(), "bin in top 12": top.any(1).float().mean().item(),
                "heading": (c.argmax(-1) == heading[held]).float().mean().item(),
                "theme": (e.argmax(-1) == theme[held]).float().mean().item()}

    loop.run(batches, loss, evaluate, 60)


# --- decoder, once more -------------------------------------------------------------------------

def train_decoder(world, minutes):
    """Finishes the decoder on what it is given when the world is played: two thirds the renderer's
    estimates, one third latents of frames with wisps. The latents themselves stay."""
    poses = torch.load(CACHE / "poses.pt", weights_only=True)
    walks = torch.load(CACHE / "walks.pt", weights_only=True)
    eye, ticks = torch.eye(THEMES), len(walks["themes"])
    loop = Loop("decoder", world.autoencoder.decoder, CACHE, minutes, rate=6e-4)
    rng = np.random.default_rng(15 + loop.steps)

    def pictures_at(pose, theme, wisp=None):
        states = np.pad(pose.numpy(), ((0, 0), (0, 3)))
        return pictures(simulator.render(states, theme.numpy(),
                                         None if wisp is None else wisp.numpy()))

    @torch.no_grad()
    def estimated(index):
        pose, theme = poses["pose"][index], poses["theme"][index]
        columns = world.renderer.columns(world.rays(pose, world.rays.depth(pose)))
        return world.renderer(columns, eye[theme]), pictures_at(pose, theme)

    def batches():
        while True:
            estimate, frames = estimated(rng.integers(0, POSES - 1000, 16))
            t, n = rng.integers(0, ticks, 8), rng.integers(0, STREAMS, 8)
            lit = walks["latents"][t, n].float()
            lit = lit + 0.1 * torch.randn_like(lit)
            seen = pictures_at(walks["states"][t + 1, n][:, :3], walks["themes"][t, n],
                               walks["wisps"][t + 1, n])
            yield (torch.cat([estimate, lit]), torch.cat([frames, seen])), 24

    def loss(batch):
        with autocast():
            y = world.autoencoder.decode(batch[0])
        return picture_loss(y.float(), batch[1])

    held, truth = estimated(np.arange(POSES - 300, POSES))
    own = world.autoencoder.encode(truth).detach()

    def evaluate():
        made = world.autoencoder.decode(held)
        each = -10 * torch.log10((made.clamp(0, 1) - truth).square().mean((1, 2, 3)))
        return {"estimate PSNR dB": psnr(made, truth).item(), "mean of dB": each.mean().item(),
                "latents PSNR dB": psnr(world.autoencoder.decode(own), truth).item()}

    with torch.inference_mode():
        print(f"decoder: before {evaluate()}", flush=True)
    loop.run(batches, loss, evaluate, 120)


# --- everything ---------------------------------------------------------------------------------

STAGES = "autoencoder dynamics sound prompt depth pool renderer decoder localizer dit export"


def latest_world():
    """The world as far as it has been trained (also from running stages)."""
    torch.manual_seed(1)
    world = World()
    for name, module in (("autoencoder", world.autoencoder), ("dynamics", world.dynamics),
                         ("decoder", world.autoencoder.decoder), ("localizer", world.localizer)):
        if (weights := averaged(CACHE, name)) is not None:
            module.load_state_dict(weights)
    for name, module in (("sound", world.audio), ("prompt", world.prompt)):
        if (CACHE / f"{name}.pt").exists():
            module.load_state_dict(torch.load(CACHE / f"{name}.pt", weights_only=True))
    if (weights := averaged(CACHE, "depth")) is not None:
        world.rays.density.data.copy_(weights["density"])
    if (weights := averaged(CACHE, "renderer")) is not None:
        torch.nn.ModuleDict({"rays": world.rays,
                             "renderer": world.renderer}).load_state_dict(weights)
    if (weights := averaged(CACHE, "dit")) is not None:
        world.dit.load_state_dict(weights)
    return world


def plot(path):
    """Loss curves of every stage, as an SVG."""
    names = [n for n in ("autoencoder", "dynamics", "renderer", "decoder", "localizer", "dit")
             if (CACHE / f"{n}.pt").exists()]
    write_curves(path, {name: torch.load(CACHE / f"{name}.pt", weights_only=True)["history"]
                        for name in names})


def keep_freed_memory():
    """Large tensors come and go each step: having the kernel clear new pages for them is a fifth of
    the time."""
    libc, trim_threshold, mmap_max = ctypes.CDLL(None), -1, -4
    libc.mallopt(mmap_max, 0)
    libc.mallopt(trim_threshold, 2**31 - 1)


def main():
    global BF16
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="models/state-dit-rooms")
    parser.add_argument("--stages", default=STAGES)
    for name, minutes in (("autoencoder", 22), ("dynamics", 33), ("depth", 1), ("renderer", 28),
                          ("decoder", 6), ("localizer", 5), ("dit", 95)):
        parser.add_argument(f"--{name}-minutes", type=float, default=minutes)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bf16", action="store_true", help="faster on CPUs with AVX512-BF16 only")
    a = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(a.threads)
    BF16 = a.bf16
    world = latest_world()
    run = {"autoencoder": lambda: train_autoencoder(world, a.autoencoder_minutes),
           "dynamics": lambda: train_dynamics(world, a.dynamics_minutes),
           "sound": lambda: fit_sound(world),
           "prompt": lambda: train_prompt(world),
           "depth": lambda: train_depth(world, a.depth_minutes),
           "pool": lambda: make_pools(world),
           "renderer": lambda: train_renderer(world, a.renderer_minutes),
           "decoder": lambda: train_decoder(world, a.decoder_minutes),
           "localizer": lambda: train_localizer(world, a.localizer_minutes),
           "dit": lambda: train_dit(world, a.dit_minutes, autocast),
           "export": lambda: export(world, a.out)}
    for stage in STAGES.split():
        if stage in a.stages.split():
            run[stage]()
    if "export" in a.stages.split():
        plot(Path(a.out) / "training.svg")


if __name__ == "__main__":
    main()
