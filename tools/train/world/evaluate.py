"""Measures the shipped world against the simulator on held-out scripts and prints the table.

    python -m tools.train.world.evaluate [--parts "walks long actions ..."] [--quick]

Writes bench/results/world_quality.json and docs/world_strip.png (simulator above, model below, at
frames 1, 8, 32, 128 and 512). A session and its simulator get the same start, actions and events,
nothing else; the session never sees a frame of the simulator.
"""

import argparse
import json
import struct
import time
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from tools.train.voice.reference import uniform_noise
from tools.train.world import simulator
from tools.train.world.phrases import HELD_OUT, TRAINING
from tools.train.world.reference import Session, load, localize
from tools.train.world.simulator import THEMES

ROOT = Path(__file__).parent.parent.parent.parent
SHOWN = (1, 8, 32, 128, 512)


def events(seeds, ticks, c):
    """The events that sessions of these seeds draw at frames 1..ticks -> [ticks, n, 4]"""
    latent = c["latent"]
    count = (latent["rows"] * latent["columns"] * latent["channels"] + c["audio_channels"]
             + c["dit"]["events"])
    first = count - c["dit"]["events"]
    return np.stack([[uniform_noise(seed, c["noise_purpose"], t * count + first, 4)
                      for seed in seeds] for t in range(1, ticks + 1)])


def db(mse):
    return -10 * np.log10(np.maximum(mse, 1e-6))


def grown(mask, pixels):
    """Dilates masks [n, 64, 64]."""
    x = torch.as_tensor(mask).float()[:, None]
    return F.max_pool2d(x, 2 * pixels + 1, 1, pixels)[:, 0].bool().numpy()


def edges(frames):
    return np.abs(np.diff(frames, axis=1)).mean() + np.abs(np.diff(frames, axis=2)).mean()


def shown(frame):
    return frame.pixels.clamp(0, 1).numpy()


def real(states, themes, wisps):
    return simulator.render(states, themes, wisps).astype(np.float32) / 255


class Match:
    """Sessions and simulated worlds with the same start, actions and events."""

    def __init__(self, world, seed, count, ticks, mean=8):
        rng = np.random.default_rng(seed)
        self.world, self.ticks = world, ticks
        self.themes = np.arange(count) % THEMES
        self.prompts = [TRAINING[theme][0] for theme in self.themes]
        self.seeds = [1000 * seed + i for i in range(count)]
        self.actions = simulator.scripts(rng, count, ticks, mean)
        start = simulator.uniform_states(rng, count)
        self.states, self.wisps, _ = simulator.play(rng, start, self.actions,
                                                    events(self.seeds, ticks, world.c))
        self.session = Session(world, self.seeds, self.prompts, states=start)

    def truth(self, t):
        return real(self.states[t], self.themes, self.wisps[t])

    def lit(self, t):
        return simulator.wisp_mask(self.states[t], self.wisps[t])


def noted_wisps(session):
    """The wisps that sessions have noted, as the simulator has them [N, 6]."""
    last = session.memories[(session.frame - 1) % len(session.memories)]
    there, ahead, right = last.note[:, 0], 2 * last.note[:, 1], 2 * last.note[:, 2]
    x, y, heading = session.state[:, :3].unbind(-1)
    place = torch.stack([x + ahead * heading.cos() + right * heading.sin(),
                         y + ahead * heading.sin() - right * heading.cos()], -1)
    return F.pad(torch.cat([there[:, None], place], -1), (0, 3)).numpy()


def plain(world, session):
    """The renderer's estimate of the session's last frame, decoded: the world without DiT."""
    with torch.inference_mode():
        pixels = world.autoencoder.decode(session._estimate(session.state)[0])
    return pixels.permute(0, 2, 3, 1).clamp(0, 1).numpy()


# --- sound: what happened in a tick --------------------------------------------------------------

def heard(samples, theme):
    """samples [n, 800] without the hum -> footstep [n], bump [n] by least squares on both."""
    still = np.zeros((1, 6), np.float32)
    hum = simulator.sound(still, still, [theme])[0]
    step, bump = still.copy(), still.copy()
    step[0, 3], bump[0, 5] = 3, 5
    parts = np.stack([simulator.sound(still, s, [theme])[0] - hum for s in (step, bump)])
    late = bump.copy()
    late[0, 5] = 4
    parts = np.concatenate([parts, simulator.sound(bump, late, [theme])[:1] - hum])
    strength = (samples - hum) @ np.linalg.pinv(parts)
    return strength[:, 0] > 0.5, strength[:, 1] > 0.5


def f1(found, true):
    """Events matched within one tick. [T] bool each -> hits among found, among true"""
    near = lambda x: x | np.roll(x, 1) | np.roll(x, -1)
    return np.array([(found & near(true)).sum(), found.sum(), (true & near(found)).sum(),
                     true.sum()])


def f1_score(counts):
    precision, recall = counts[0] / max(counts[1], 1), counts[2] / max(counts[3], 1)
    return float(2 * precision * recall / max(precision + recall, 1e-9))


# --- parts ---------------------------------------------------------------------------------------

def walks(world, quick):
    count, ticks = (6, 128) if quick else (24, 512)
    match = Match(world, 77, count, ticks)
    at = {t: [] for t in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if t <= ticks}
    strip, samples, first = [], [], match.truth(0)
    for t in range(1, ticks + 1):
        wanted = any(abs(t - k) < (4 if k > 8 else 1) for k in at)
        frame = match.session.step(match.actions[t - 1], picture=wanted)
        samples.append(frame.samples.numpy())
        if not wanted:
            continue
        key = min(at, key=lambda k: abs(k - t))
        made, truth = shown(frame), match.truth(t)
        own = np.abs(made - plain(world, match.session)).max(-1) > 0.25
        keep = ~(grown(match.lit(t), 1) | grown(own, 2))[..., None]
        error = ((made - truth) ** 2 * keep).sum((1, 2, 3)) / (3 * keep.sum((1, 2, 3)) + 1e-9)
        frozen = ((first - truth) ** 2 * keep).sum((1, 2, 3)) / (3 * keep.sum((1, 2, 3)) + 1e-9)
        at[key].append((error, frozen, 1 - keep.mean()))
        if t in SHOWN:
            strip += [truth[:6], made[:6]]
    result = {}
    for t, rows in at.items():
        error, frozen, masked = (np.stack(x) for x in zip(*rows))
        result[t] = {"mean_of_db": float(db(error).mean()), "db_of_mean": float(db(error.mean())),
                     "median_db": float(np.median(db(error))),
                     "frozen_first_frame": float(db(frozen).mean()),
                     "masked_share": float(masked.mean())}
    counts = np.zeros((2, 4))
    for i in range(count):
        found = heard(np.stack(samples)[:, i], match.themes[i])
        before, after = match.states[:-1, i], match.states[1:, i]
        true = ((after[:, 3] == 3) & (before[:, 3] == 2), after[:, 5] == 5)
        counts += np.stack([f1(a, b) for a, b in zip(found, true)])
    write_png(ROOT / "docs/world_strip.png", strip)
    off = np.hypot(*(match.session.state.numpy() - match.states[-1])[:, :2].T)
    return {"streams": count, "psnr": result, "footsteps_f1": f1_score(counts[0]),
            "bumps_f1": f1_score(counts[1]), "cells_off_median": float(np.median(off)),
            "cells_off_p90": float(np.quantile(off, 0.9))}


def theme_of(world, frames):
    """The localizer's theme head as classifier. frames [n, 64, 64, 3] in [0, 1]"""
    with torch.inference_mode():
        latents = world.autoencoder.encode(torch.as_tensor(frames).permute(0, 3, 1, 2))
        return world.localizer(latents)[3].argmax(-1).numpy()


def long(world, quick):
    ticks, every = (300, 10) if quick else (5000, 25)
    match = Match(world, 78, 6, ticks)
    rows = []
    for t in range(1, ticks + 1):
        frame = match.session.step(match.actions[t - 1], picture=t % every == 0)
        if t % every:
            continue
        made, state = shown(frame), match.session.state.numpy()
        # The same place with the same wisp: its edges and light.
        truth = real(state, match.themes, noted_wisps(match.session))
        rows.append([edges(made), edges(truth), made.mean(), truth.mean(),
                     made.std((1, 2)).mean(), truth.std((1, 2)).mean(),
                     (theme_of(world, made) == match.themes).mean(),
                     (theme_of(world, truth) == match.themes).mean(),
                     simulator.free(state, 0.1).mean()])
    rows = np.array(rows)
    fifth, time_ = max(1, len(rows) // 5), np.linspace(0, 1, len(rows))
    ratio = lambda part: float(part[:, 0].sum() / part[:, 1].sum())
    off = np.hypot(*(match.session.state.numpy() - match.states[-1])[:, :2].T)
    return {"frames": ticks, "edges_first_fifth": ratio(rows[:fifth]),
            "edges_last_fifth": ratio(rows[-fifth:]),
            "brightness_change": float(np.polyfit(time_, rows[:, 2] - rows[:, 3], 1)[0]),
            "contrast_change": float(np.polyfit(time_, rows[:, 4] - rows[:, 5], 1)[0]),
            "theme_accuracy": float(rows[:, 6].mean()),
            "theme_accuracy_of_simulator": float(rows[:, 7].mean()),
            "outside_walls": float(rows[:, 8].mean()),
            "cells_off_median": float(np.median(off))}


def actions(world, quick):
    """Which of seven actions was held for four frames? The nearest of the seven simulated ends."""
    rng, count = np.random.default_rng(79), 8 if quick else 40
    start = simulator.uniform_states(rng, 8 * count)
    start = start[simulator.free(start, 0.6)][:count]
    held = np.eye(7, dtype=np.float32)
    right = np.zeros((7, 2))
    for i in range(7):
        ends = []
        for j in range(7):
            state = start
            for _ in range(4):
                state = simulator.advance(state, np.repeat(held[j:j + 1], len(start), 0))
            ends.append(real(state, np.arange(len(start)) % THEMES, None))
        session = Session(world, range(len(start)), [TRAINING[k % THEMES][0]
                                                     for k in range(len(start))], states=start)
        for _ in range(4):
            frame = session.step(np.repeat(held[i:i + 1], len(start), 0))
        lit = grown(np.abs(shown(frame) - plain(world, session)).max(-1) > 0.25, 2)[..., None]
        errors = [(((shown(frame) - end) ** 2) * ~lit).mean((1, 2, 3)) for end in ends]
        right[i] = (np.argmin(errors, 0) == i).sum(), len(start)
    names = [*world.c["keys"], "pointer"]
    return {name: float(a / b) for name, (a, b) in zip(names, right)}


def prompts(world, quick):
    """New prompts, all of them unseen wordings, after eight frames."""
    texts = [(text, theme) for theme, group in enumerate(HELD_OUT) for text in group]
    match = Match(world, 80, len(texts), 11)
    for t in range(1, 9):
        match.session.step(match.actions[t - 1])
    match.session.set_prompts([text for text, _ in texts])
    themes, scores, named = np.array([theme for _, theme in texts]), [], []
    for t in range(9, 12):
        made = shown(match.session.step(match.actions[t - 1]))
        truth = real(match.states[t], themes, match.wisps[t])
        keep = ~grown(match.lit(t), 1)[..., None]
        error = ((made - truth) ** 2 * keep).mean((1, 2, 3))
        understood = match.session.theme.argmax(-1).numpy() == themes
        scores.append(db(error[understood]).mean())
        named.append((theme_of(world, made) == themes).mean())
    return {"wordings_understood": float(understood.mean()),
            "psnr_frames_1_2_3": [float(x) for x in scores],
            "theme_shown_frames_1_2_3": [float(x) for x in named]}


def seed_images(world, quick):
    rng, count = np.random.default_rng(81), 20 if quick else 120
    states = simulator.uniform_states(rng, count)
    themes = rng.integers(0, THEMES, count)
    frames = real(states, themes, None)
    with torch.inference_mode():
        latents = world.autoencoder.encode(torch.as_tensor(frames).permute(0, 3, 1, 2))
    found = [localize(world, latents[i:i + 1]) for i in range(count)]
    place = np.concatenate([f[0].numpy() for f in found])
    off = np.hypot(*(place - states)[:, :2].T)
    turn = np.abs((place[:, 2] - states[:, 2] + np.pi) % (2 * np.pi) - np.pi)
    theme = np.array([f[1].argmax().item() for f in found])
    return {"within_quarter_cell": float((off < 0.25).mean()), "median_cells": float(np.median(off)),
            "median_degrees": float(np.degrees(np.median(turn))),
            "theme": float((theme == themes).mean())}


def ablations(world, quick):
    """One frame further with: everything; another session's cache; no cache; no DiT. PSNR of mean
    MSE within the simulator's wisp, where it was in sight for two frames; and of the sound, where
    the simulator's next one is the same (no step was counted wrong before)."""
    count, moments = (12, 2) if quick else (48, 8)
    match = Match(world, 82, count, 16 + 6 * moments)
    wisp = {name: [] for name in ("whole", "swapped cache", "no cache", "no DiT")}
    sound = {name: [] for name in wisp}
    for t in range(1, match.ticks + 1):
        if t >= 16 and (t - 16) % 6 == 0 and t < match.ticks:
            lit, earlier = match.lit(t), match.lit(t - 1)
            seen = (lit.sum((1, 2)) > 20) & (earlier.sum((1, 2)) > 20)
            truth = match.truth(t)
            heard_ = simulator.sound(match.states[t - 1], match.states[t], match.themes)
            in_step = (match.session.state.numpy() == match.states[t - 1])[:, 3:].all(1)
            for name in wisp:
                other = Session.restore(world, match.session.snapshot())
                if name == "swapped cache":
                    other.keys, other.values = other.keys.roll(6, 1), other.values.roll(6, 1)
                    other.memories = [m and replace(m, note=m.note.roll(6, 0))
                                      for m in other.memories]
                if name == "no cache":
                    other.memories = [None] * len(other.memories)
                frame = other.step(match.actions[t - 1])
                made = plain(world, other) if name == "no DiT" else shown(frame)
                samples = frame.samples.numpy() * (name != "no DiT")
                error = ((made - truth) ** 2).mean(-1)
                wisp[name] += [error[i][lit[i]].mean() for i in np.flatnonzero(seen)]
                in_step &= (other.state.numpy() == match.states[t])[:, 3:].all(1)
                sound[name] += [((samples - heard_) ** 2)[in_step].mean()]
        match.session.step(match.actions[t - 1], picture=False)
    return {"cases": len(wisp["whole"]),
            "wisp_db": {name: float(db(np.mean(x))) for name, x in wisp.items()},
            "sound_rms_error": {name: float(np.mean(x) ** 0.5) for name, x in sound.items()}}


def cost(world, quick):
    """Milliseconds a frame of one session, one thread."""
    session, parts = Session(world, [1], [""]), {}

    def timed(name, call, runs=10 if quick else 40):
        times = []
        for _ in range(runs):
            began = time.perf_counter()
            call()
            times.append(1e3 * (time.perf_counter() - began))
        parts[name] = float(np.median(times))

    idle = torch.zeros(1, 7)
    for _ in range(14):
        session.step(idle)
    estimate, columns = session._estimate(session.state)
    memory = session.memories[session.frame % len(session.memories)]
    conditions = memory.before, memory.state, memory.action, memory.events
    with torch.inference_mode():
        timed("dynamics", lambda: world.dynamics.advance(session.state, idle))
        timed("rays and renderer", lambda: session._estimate(session.state))
        timed("denoise", lambda: session._denoise(session.frame, estimate, columns, *conditions))
        timed("decode", lambda: world.autoencoder.decode(estimate))
    timed("whole step with commit", lambda: session.step(idle))
    parts["denoise and decode"] = parts["denoise"] + parts["decode"]
    return parts


# --- output --------------------------------------------------------------------------------------

def write_png(path, rows, scale=3):
    """rows: float [n, 64, 64, 3] each, n pictures side by side."""
    image = np.concatenate([np.concatenate(list(row), 1) for row in rows])
    image = (image * 255 + 0.5).astype(np.uint8).repeat(scale, 0).repeat(scale, 1)
    raw = b"".join(b"\0" + line.tobytes() for line in image)

    def chunk(name, data):
        return (struct.pack(">I", len(data)) + name + data
                + struct.pack(">I", zlib.crc32(name + data)))

    header = struct.pack(">IIBBBBB", image.shape[1], image.shape[0], 8, 2, 0, 0, 0)
    Path(path).write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
                           + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


def rows(r):
    """The table of MODEL_CARD.md: what, value, bar."""
    if "walks" in r:
        bars = {"1": 32, "8": 31, "32": 30, "128": 28, "512": 26}
        for t, x in r["walks"]["psnr"].items():
            yield (f"PSNR at frame {t}, mean of dB (of mean MSE; of a frozen first frame)",
                   f"{x['mean_of_db']:.1f} ({x['db_of_mean']:.1f}; {x['frozen_first_frame']:.1f}) "
                   "dB", f">= {bars[t]}" if t in bars else "")
        yield "footsteps F1, 512 frames", f"{r['walks']['footsteps_f1']:.3f}", ">= .95"
        yield "bumps F1, 512 frames", f"{r['walks']['bumps_f1']:.3f}", ">= .90"
        yield ("off the simulator's place after 512 frames, median (90 %)",
               f"{r['walks']['cells_off_median']:.3f} ({r['walks']['cells_off_p90']:.2f}) cells", "")
    if "long" in r:
        x = r["long"]
        yield (f"edges against real, first and last fifth of {x['frames']} frames",
               f"{x['edges_first_fifth']:.2f}, {x['edges_last_fifth']:.2f}", ".9 to 1.1")
        yield ("change of brightness, contrast over them (full scale 1)",
               f"{x['brightness_change']:+.4f}, {x['contrast_change']:+.4f}", "none")
        yield ("theme accuracy over them (the classifier's own)",
               f"{x['theme_accuracy']:.3f} ({x['theme_accuracy_of_simulator']:.3f})",
               ">= .9 of it")
    if "actions" in r:
        yield ("action told after 4 frames, of 7 (worst)",
               f"{np.mean(list(r['actions'].values())):.3f} ({min(r['actions'].values()):.3f})",
               ">= .97 each")
    if "prompts" in r:
        x = r["prompts"]
        yield "unseen wordings understood", f"{x['wordings_understood']:.2f}", ""
        yield ("new theme at frames 1, 2, 3 after the switch: PSNR",
               ", ".join(f"{v:.1f}" for v in x["psnr_frames_1_2_3"]) + " dB", "within 3 frames")
    if "seed_images" in r:
        x = r["seed_images"]
        yield ("seed image within .25 cell (median; heading; theme)",
               f"{x['within_quarter_cell']:.2f} ({x['median_cells']:.3f} cells; "
               f"{x['median_degrees']:.1f} degrees; {x['theme']:.2f})", ">= .80")
    if "ablations" in r:
        x = r["ablations"]
        for name, value in x["wisp_db"].items():
            loss = x["wisp_db"]["whole"] - value
            yield (f"PSNR within the wisp: {name}", f"{value:.1f} dB",
                   "" if name == "whole" else f"costs {loss:.1f} dB; >= 3")
        for name, value in x["sound_rms_error"].items():
            yield f"RMS error of the sound: {name}", f"{value:.4f}", ""
    if "cost" in r:
        x = r["cost"]
        yield ("denoise + decode, eager PyTorch, one thread", f"{x['denoise and decode']:.1f} ms",
               "<= 12")


def write_card(path, results):
    """Puts the table between the card's markers."""
    text, table = Path(path).read_text(), "| measure | value | bar |\n|---|---|---|\n"
    table += "".join(f"| {a} | {b} | {c} |\n" for a, b, c in rows(results))
    head, rest = text.split("<!-- results -->\n")
    Path(path).write_text(head + "<!-- results -->\n" + table + "<!-- end -->"
                          + rest.split("<!-- end -->")[1])


PARTS = {"walks": walks, "actions": actions, "prompts": prompts, "seed_images": seed_images,
         "ablations": ablations, "cost": cost, "long": long}


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=ROOT / "models/state-dit-rooms")
    parser.add_argument("--out", default=ROOT / "bench/results/world_quality.json")
    parser.add_argument("--parts", default=" ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="a few streams and frames only")
    a = parser.parse_args()
    torch.set_num_threads(1)
    world = load(a.model)
    path = Path(a.out)
    results = json.loads(path.read_text()) if path.exists() else {}
    for name in a.parts.split():
        began = time.monotonic()
        results[name] = PARTS[name](world, a.quick)
        print(f"{name} ({time.monotonic() - began:.0f} s): {json.dumps(results[name], indent=1)}",
              flush=True)
        path.write_text(json.dumps(results, indent=1) + "\n")
    results = json.loads(path.read_text())
    print("\n".join(" | ".join(row) for row in rows(results)))
    if not a.quick and (card := Path(a.model) / "MODEL_CARD.md").exists():
        write_card(card, results)


if __name__ == "__main__":
    main()
