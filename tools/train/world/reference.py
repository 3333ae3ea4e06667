"""Sessions of the state-dit world, frame by frame in float32: what the C++ engine must match.

    session = Session(load("models/state-dit-rooms"), seeds=[7], prompts=["a snowy day"])
    frame = session.step([[1, 0, 0, 0, 0, 0, 0.25]])  # forward, pointer a quarter to the right
    frame.picture  # uint8 [1, 64, 64, 3]
    frame.samples  # float32 [1, 800]

N sessions step together here, for the evaluation's sake; what one does depends on itself alone.
The ring holds the keys and values of the last 12 frames; frame t lies at index t % 12 and is never
moved. Frame 0 is the seed frame: it is put into the ring and not shown. A change of the prompt
computes the ring anew, oldest frame first ("recache").
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from tools.train.voice.reference import uniform_noise
from tools.train.world.model import World, word_bag


def load(folder):
    """Reads config.json and model.safetensors; bf16 weights are widened to float32."""
    config = json.loads((Path(folder) / "config.json").read_text())
    world = World(config)
    weights = load_file(Path(folder) / "model.safetensors")
    world.load_state_dict({name: value.float() for name, value in weights.items()})
    return world.eval()


@dataclass
class Frame:
    pixels: torch.Tensor  # [N, 64, 64, 3], nominally in [0, 1]
    samples: torch.Tensor  # [N, 800], nominally in [-1, 1]

    @property
    def picture(self):
        return (self.pixels.clamp(0, 1) * 255 + 0.5).to(torch.uint8)


@dataclass
class Memory:
    """What recaching a frame needs: its conditions, and what the DiT put on top of the renderer's
    estimate."""
    frame: int
    before: torch.Tensor  # [N, 6]
    state: torch.Tensor  # [N, 6]
    action: torch.Tensor  # [N, 7]
    events: torch.Tensor  # [N, 4]
    residual: torch.Tensor  # [N, 16, 48]: latents less the estimate
    audio: torch.Tensor  # [N, 16]
    note: torch.Tensor  # [N, 6]


class Session:
    @torch.inference_mode()
    def __init__(self, world, seeds, prompts, images=None, states=None):
        """images: uint8 [N, 64, 64, 3] to start from, or None for the world's own start; states
        [N, 6]: to start elsewhere without an image, which a server does not offer."""
        self.world, self.c, self.seeds = world, world.c, list(seeds)
        d, count = self.c["dit"], len(self.seeds)
        tokens = self.c["latent"]["rows"] * self.c["latent"]["columns"] + 2
        shape = (d["layers"], count, d["window"], tokens, d["heads"], d["head_dim"])
        self.keys, self.values = torch.zeros(shape), torch.zeros(shape)
        self.memories = [None] * d["window"]
        self.frame = 0  # number of the next frame
        self.theme = self._themes(prompts)
        self.state = torch.tensor([[*self.c["start"], 0, 0, 0]]).repeat(count, 1)
        if states is not None:
            self.state = torch.as_tensor(states)
        latents = None
        if images is not None:
            pixels = torch.as_tensor(images).float() / 255
            latents = world.autoencoder.encode(pixels.permute(0, 3, 1, 2))
            for i, prompt in enumerate(prompts):
                self.state[i:i + 1], theme = localize(world, latents[i:i + 1])
                if not prompt:
                    self.theme[i:i + 1] = theme
        self._seed_frame(latents)

    # --- prompt ---

    def _themes(self, prompts):
        """-> one-hots [N, 6]"""
        bags = torch.stack([word_bag(text, self.c["prompt_buckets"]) for text in prompts])
        theme = self.world.prompt(bags).argmax(-1)
        theme[~bags.any(-1)] = self.c["default_theme"]
        return torch.eye(len(self.c["themes"]))[theme]

    @torch.inference_mode()
    def set_prompts(self, prompts):
        """The next frame has the new theme."""
        self.recache(self._themes(prompts))

    def recache(self, theme):
        """Computes the ring anew as if the world had always had this theme: each frame's estimate
        is drawn again, what the DiT had added is kept."""
        self.theme = theme
        kept, self.memories = [m for m in self.memories if m], [None] * len(self.memories)
        for memory in sorted(kept, key=lambda m: m.frame):
            estimate, columns = self._estimate(memory.state)
            self._commit(memory, estimate, columns)

    # --- one frame ---

    def _seed_frame(self, latents):
        """Puts frame 0 into the ring. latents [N, 16, 48] of seed images, or None."""
        count = len(self.seeds)
        estimate, columns = self._estimate(self.state)
        residual = torch.zeros_like(estimate) if latents is None else latents - estimate
        self._commit(Memory(0, self.state, self.state, torch.zeros(count, 7),
                            torch.zeros(count, self.c["dit"]["events"]), residual,
                            torch.zeros(count, self.c["audio_channels"]), self._no_note()),
                     estimate, columns)
        self.frame = 1

    def _no_note(self):
        return torch.zeros(len(self.seeds), self.c["dit"]["note"])

    def _estimate(self, state):
        """-> the renderer's latents [N, 16, 48] (zeros without one), columns [N, 4, 480]"""
        pose = state[:, :3]
        features = self.world.rays(pose, self.world.rays.depth(pose))
        columns = self.world.renderer.columns(features)
        estimate = self.world.renderer(columns, self.theme)
        return estimate if self.c["dit"]["renderer"] else torch.zeros_like(estimate), columns

    def _noise(self, frame):
        """-> video [N, 16, 48], audio [N, 16], events [N, 4]: variance 1"""
        latent, audio, events = (self.c["latent"], self.c["audio_channels"],
                                 self.c["dit"]["events"])
        video = latent["rows"] * latent["columns"] * latent["channels"]
        count = video + audio + events
        noise = torch.stack([torch.as_tensor(uniform_noise(seed, self.c["noise_purpose"],
                                                           frame * count, count))
                             for seed in self.seeds])
        video, audio, events = noise.split([video, audio, events], -1)
        return video.unflatten(1, (-1, latent["channels"])), audio, events

    def _pass(self, frame, sigma, video, audio, note, estimate, columns, before, state, action,
              events):
        """-> video [N, 16, 48], audio [N, 16], note [N, 6], keys, values [layers, N, 18, heads,
        64]"""
        dit = self.world.dit
        facts = dit.facts(torch.full((len(self.seeds),), sigma), before, state, action, self.theme,
                          events, note)
        condition = dit.condition(facts)
        x = dit.embed(video, estimate, columns, audio, facts)
        used = [i for i, memory in enumerate(self.memories) if memory]
        x, keys, values = dit.run(x, condition, frame, self.keys[:, :, used], self.values[:, :, used])
        return *dit.head(x, condition, estimate, facts), keys, values

    def _denoise(self, frame, estimate, columns, *conditions):
        """Few-step flow matching: x = (1 - sigma) latents + sigma noise; each pass predicts the
        latents. -> video [N, 16, 48], audio [N, 16], note [N, 6]"""
        noise_video, noise_audio, _ = self._noise(frame)
        last = self.memories[(frame - 1) % len(self.memories)]
        carried = self.world.dit.carried(last.note if last else self._no_note(), *conditions[:2])
        video, audio = torch.zeros_like(noise_video), torch.zeros_like(noise_audio)
        for sigma in self.c["dit"]["sigmas"]:
            video, audio, note, _, _ = self._pass(
                frame, sigma, (1 - sigma) * video + sigma * noise_video,
                (1 - sigma) * audio + sigma * noise_audio, carried, estimate, columns, *conditions)
        return video, audio, self.world.dit.settled(note, carried)

    def _commit(self, m, estimate, columns):
        """One pass at sigma 0 over what was made; its keys and values go into the ring."""
        _, _, _, keys, values = self._pass(m.frame, 0.0, estimate + m.residual, m.audio, m.note,
                                           estimate, columns, m.before, m.state, m.action,
                                           m.events)
        slot = m.frame % len(self.memories)
        self.keys[:, :, slot], self.values[:, :, slot] = keys, values
        self.memories[slot] = m

    @torch.inference_mode()
    def step(self, actions, picture=True):
        """actions [N, 7]: the six keys as 0 or 1, pointer dx in [-1, 1] -> Frame"""
        action = torch.as_tensor(actions, dtype=torch.float32)
        before, self.state = self.state, self.world.dynamics.advance(self.state, action)
        estimate, columns = self._estimate(self.state)
        events = self._noise(self.frame)[2]
        conditions = before, self.state, action, events
        video, audio, note = self._denoise(self.frame, estimate, columns, *conditions)
        pixels = self.world.autoencoder.decode(video).permute(0, 2, 3, 1) if picture else None
        samples = self.world.audio.decode(audio)
        self._commit(Memory(self.frame, *conditions, video - estimate, audio, note), estimate,
                     columns)
        self.frame += 1
        return Frame(pixels, samples)

    # --- snapshot ---

    def snapshot(self):
        """Everything that is needed to go on, as copies."""
        return {"seeds": self.seeds, "frame": self.frame, "theme": self.theme.clone(),
                "state": self.state.clone(), "keys": self.keys.clone(),
                "values": self.values.clone(), "memories": list(self.memories)}

    @classmethod
    def restore(cls, world, snapshot):
        session = cls.__new__(cls)
        session.world, session.c = world, world.c
        for name, value in snapshot.items():
            setattr(session, name, value.clone() if torch.is_tensor(value) else value)
        session.memories = list(session.memories)
        return session


# --- seed image -----------------------------------------------------------------------------------

@torch.inference_mode()
def localize(world, latents):
    """Where a seed image was taken: first guesses from the network, then a random search that
    compares the renderer's estimates with the image. latents [1, 16, 48] -> state [1, 6],
    theme [1, 6]."""
    d = world.c["localizer"]
    bins, offset, headings, themes = world.localizer(latents)
    theme = torch.eye(len(world.c["themes"]))[themes.argmax()][None]
    best_bins = bins[0].topk(d["positions"]).indices
    best_headings = headings[0].topk(d["turns"]).indices
    size = 10 / d["bins"]
    corner = torch.stack([best_bins % d["bins"], best_bins // d["bins"]], -1).float()
    places = (corner + 0.5) * size + offset
    turns = best_headings.float() * (2 * np.pi / d["headings"])
    count = d["positions"] * d["turns"]
    candidates = torch.cat([places.repeat_interleave(d["turns"], 0),
                            turns.repeat(d["positions"])[:, None]], -1)  # [36, 3]

    def errors(poses):
        columns = world.renderer.columns(world.rays(poses, world.rays.depth(poses)))
        estimate = world.renderer(columns, theme.expand(len(poses), -1))
        return (estimate - latents).abs().mean((1, 2))  # absolute: a wisp weighs little

    scores = errors(candidates)
    for number in range(d["rounds"]):
        order = scores.argsort(stable=True)[:d["keep"]]
        candidates, scores = candidates[order], scores[order]
        noise = uniform_noise(0, world.c["localizer_noise_purpose"], 3 * number * count, 3 * count)
        spread = torch.tensor([d["position_spread"], d["position_spread"], d["heading_spread"]])
        moved = candidates.repeat(count // d["keep"], 1) + (
            torch.as_tensor(noise).reshape(count, 3) * spread * 0.6 ** number)
        moved[:, :2] = moved[:, :2].clamp(0.22, 9.78)
        candidates = torch.cat([candidates, moved])
        scores = torch.cat([scores, errors(moved)])
    best = candidates[scores.argmin()]
    heading = best[2] - 2 * np.pi * torch.floor(best[2] / (2 * np.pi) + 0.5)
    return torch.cat([best[:2], heading[None], torch.zeros(3)])[None].float(), theme
