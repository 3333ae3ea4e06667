"""Worlds in eager PyTorch, in the two ways a Python team would write them.

Single   a lock around the model: one frame of one session after the other. The cache is what most
         public code does: it is cloned for each pass, and rolled by a frame when it is written.
Batched  slots in preallocated rings that are written in place; sessions that are due are stepped
         together, whatever their frame numbers; the frame leaves before the cache is written.

Both run the networks of tools/train/world with the same weights. They draw noise from torch's
generator, which is cheaper than the server's own, and do not recompute the cache after a prompt.
"""

import math
import threading
import time
from collections import deque

import torch
from torch.nn import functional as F

from tools.train.world.model import word_bag
from tools.train.world.reference import load

MAX_LATE_PERIODS = 1  # then a realtime session leaves blocks out


class Player:
    """One session as its stream sees it; fields are guarded by the engine's condition."""

    def __init__(self, seed, prompt, realtime, deliver):
        self.seed, self.prompt, self.realtime, self.deliver = seed, prompt, realtime, deliver
        self.actions = deque()  # (sequence, [7]) not played yet; realtime: the newest only
        self.newest = (0, [0.0] * 7)
        self.credit, self.due, self.block, self.skipped = 4, 0.0, 0, 0
        self.closing = self.closed = False
        self.slot = None


class Engine:
    """A thread that steps whoever is due. Subclasses: open, leave, step."""

    def __init__(self, folder, slots):
        self.world = load(folder)
        self.c = self.world.c
        self.free = list(range(slots))[::-1]
        self.period = 1 / self.c["fps"]
        self.players, self.condition = [], threading.Condition()
        threading.Thread(target=self.run, daemon=True).start()

    def add(self, player):
        with self.condition:
            if not self.free:
                return False
            player.slot = self.free.pop()
            player.due = time.monotonic()
            player.fresh = True
            self.players.append(player)
            self.condition.notify()
        return True

    def tell(self, player, change):
        with self.condition:
            change(player)
            self.condition.notify()

    def ready(self, now):
        """Sessions that want a block now, the most urgent first."""
        out = []
        for player in self.players:
            if player.credit <= 0:
                continue
            if player.realtime and now >= player.due and not player.closing:
                out.append(player)
            elif not player.realtime and player.actions:
                out.append(player)
        return sorted(out, key=lambda p: p.due)

    def take(self, player, now):
        """-> sequence, action [7] of the player's next block."""
        if player.actions:
            player.newest = player.actions.popleft()
        player.credit -= 1
        if player.realtime:
            player.due += self.period
            late = int((now - player.due) / self.period)
            if late > MAX_LATE_PERIODS:
                player.skipped += late
                player.due += late * self.period
        return player.newest

    def reap(self):
        for player in [p for p in self.players if p.closing and (p.realtime or not p.actions)]:
            self.players.remove(player)
            self.leave(player)
            self.free.append(player.slot)
            player.deliver(None)

    def run(self):
        torch.inference_mode().__enter__()
        while True:
            with self.condition:
                self.reap()
                now = time.monotonic()
                batch = self.ready(now)[:self.most()]
                if not batch:
                    dues = [p.due for p in self.players if p.realtime and p.credit > 0]
                    self.condition.wait(max(0.0, min(dues) - now) if dues else None)
                    continue
                deeds = [self.take(player, now) for player in batch]
            for player in batch:
                if player.fresh:
                    player.fresh = False
                    self.open(player)
            self.step(batch, deeds)

    def theme(self, prompt):
        bag = word_bag(prompt, self.c["prompt_buckets"])[None]
        index = self.world.prompt(bag).argmax(-1) if bag.any() else self.c["default_theme"]
        return torch.eye(len(self.c["themes"]))[index].reshape(1, -1)

    def noise(self, count, seed=None):
        """-> video [N, 16, 48], audio [N, 16], events [N, 4]: variance 1"""
        scale = math.sqrt(12)
        video = (torch.rand(count, 16, 48) - 0.5) * scale
        rest = (torch.rand(count, self.c["audio_channels"] + self.c["dit"]["events"]) - 0.5) * scale
        return video, rest[:, :self.c["audio_channels"]], rest[:, self.c["audio_channels"]:]

    def estimate(self, state, theme):
        pose = state[:, :3]
        columns = self.world.renderer.columns(self.world.rays(pose, self.world.rays.depth(pose)))
        if not self.c["dit"]["renderer"]:
            return torch.zeros(len(state), 16, 48), columns
        return self.world.renderer(columns, theme), columns

    def no_note(self):
        return torch.zeros(1, self.c["dit"]["note"])

    def start(self):
        return torch.tensor([[*self.c["start"], 0.0, 0.0, 0.0]])

    def decode(self, video, audio):
        """-> uint8 [N, 64, 64, 3], int16 [N, 800] as arrays"""
        pixels = self.world.autoencoder.decode(video).permute(0, 2, 3, 1)
        pixels = (pixels.clamp(0, 1) * 255 + 0.5).to(torch.uint8).contiguous().numpy()
        samples = (self.world.audio.decode(audio).clamp(-1, 1) * 32767).to(torch.int16).numpy()
        return pixels, samples

    def hand_out(self, batch, deeds, pixels, samples):
        for i, (player, (sequence, _)) in enumerate(zip(batch, deeds)):
            player.deliver((player.block, sequence, pixels[i].tobytes(), samples[i].tobytes(),
                            player.skipped))
            player.block += 1


class Single(Engine):
    def __init__(self, folder, slots):
        self.worlds = {}
        super().__init__(folder, slots)

    def most(self):
        return 1

    def open(self, player):
        d = self.c["dit"]
        empty = torch.zeros(d["layers"], 1, 0, 18, d["heads"], d["head_dim"])
        state, theme = self.start(), self.theme(player.prompt)
        self.worlds[player] = [state, empty, empty.clone(), 0, self.no_note()]
        self.commit(player, theme, state, state, torch.zeros(1, 7),
                    torch.zeros(1, d["events"]), None, torch.zeros(1, 16))

    def leave(self, player):
        self.worlds.pop(player, None)

    def a_pass(self, world, sigma, video, audio, note, estimate, columns, *conditions):
        before, state, action, theme, events = conditions
        dit = self.world.dit
        facts = dit.facts(torch.tensor([sigma]), before, state, action, theme, events, note)
        condition = dit.condition(facts)
        x = dit.embed(video, estimate, columns, audio, facts)
        x, keys, values = dit.run(x, condition, world[3], world[1].clone(), world[2].clone())
        return *dit.head(x, condition, estimate, facts), keys, values

    def commit(self, player, theme, before, state, action, events, video, audio):
        world = self.worlds[player]
        estimate, columns = self.estimate(state, theme)
        *_, keys, values = self.a_pass(world, 0.0, estimate if video is None else video, audio,
                                       world[4], estimate, columns, before, state, action, theme,
                                       events)
        for i, new in ((1, keys), (2, values)):
            new = new[:, :, None]
            if world[i].shape[2] < self.c["dit"]["window"]:
                world[i] = torch.cat([world[i], new], 2)
            else:
                world[i] = torch.roll(world[i], -1, 2)
                world[i][:, :, -1:] = new
        world[3] += 1

    def step(self, batch, deeds):
        player, (_, action) = batch[0], deeds[0]
        world, theme = self.worlds[player], self.theme(player.prompt)
        action = torch.tensor([action])
        before, world[0] = world[0], self.world.dynamics.advance(world[0], action)
        estimate, columns = self.estimate(world[0], theme)
        carried = self.world.dit.carried(world[4], before, world[0])
        noise_video, noise_audio, events = self.noise(1)
        video, audio = torch.zeros_like(noise_video), torch.zeros_like(noise_audio)
        for sigma in self.c["dit"]["sigmas"]:
            video, audio, note, _, _ = self.a_pass(
                world, sigma, (1 - sigma) * video + sigma * noise_video,
                (1 - sigma) * audio + sigma * noise_audio, carried, estimate, columns, before,
                world[0], action, theme, events)
        world[4] = self.world.dit.settled(note, carried)
        pixels, samples = self.decode(video, audio)
        self.commit(player, theme, before, world[0], action, events, video, audio)
        self.hand_out(batch, deeds, pixels, samples)


class Batched(Engine):
    """Rows 0 .. n - 1 of the rings are the sessions that live; one that leaves is replaced by the
    last, so that a step over all of them reads views and copies nothing."""

    def __init__(self, folder, slots):
        self.rows = []  # the player of each row
        self.slots = slots
        self.ring = None
        super().__init__(folder, slots)

    def most(self):
        return self.slots

    def allocate(self):
        d = self.c["dit"]
        shape = (d["layers"], self.slots, d["window"] + 1, 18, d["heads"], d["head_dim"])
        self.ring = torch.zeros(2, *shape)  # the last place is the frame under way
        self.state, self.frame = torch.zeros(self.slots, 6), torch.zeros(self.slots, dtype=torch.long)
        self.themes = torch.zeros(self.slots, len(self.c["themes"]))
        self.notes = self.no_note().repeat(self.slots, 1)

    def open(self, player):
        if self.ring is None:
            self.allocate()
        row = len(self.rows)
        self.rows.append(player)
        self.state[row:row + 1], self.frame[row] = self.start(), 0
        self.themes[row:row + 1] = self.theme(player.prompt)
        player.shown_prompt = player.prompt
        state, rows = self.state[row:row + 1], slice(row, row + 1)
        estimate, columns = self.estimate(state, self.themes[rows])
        self.notes[rows] = self.no_note()
        self.write(rows, (estimate, torch.zeros(1, 16), self.no_note(), estimate, columns, state,
                          state, torch.zeros(1, 7), self.themes[rows],
                          torch.zeros(1, self.c["dit"]["events"])))

    def leave(self, player):
        if player not in self.rows:
            return
        row, last = self.rows.index(player), len(self.rows) - 1
        for tensor in (self.state, self.frame, self.themes, self.notes):
            tensor[row] = tensor[last]
        self.ring[:, :, row] = self.ring[:, :, last]
        self.rows[row] = self.rows[last]
        self.rows.pop()

    def a_pass(self, rows, sigma, video, audio, note, estimate, columns, *conditions):
        """One pass for the sessions of `rows`, a slice or indices, at their own frames."""
        before, state, action, theme, events = conditions
        dit, window, count = self.world.dit, self.c["dit"]["window"], len(state)
        facts = dit.facts(torch.full((count,), sigma), before, state, action, theme, events, note)
        condition = dit.condition(facts)
        x = dit.embed(video, estimate, columns, audio, facts)
        frames = self.frame[rows]
        table = dit.rope(frames)
        filled = torch.arange(window + 1) < frames[:, None]  # [N, window + 1]
        filled[:, window] = True
        mask = None if filled.all() else filled.repeat_interleave(18, 1)[:, None, None]
        for layer, block in enumerate(dit.blocks):
            modulation = block.modulate(condition)
            q, k, v = block.attention_inputs(x, modulation, table)
            self.ring[0, layer, rows, window], self.ring[1, layer, rows, window] = k, v
            keys, values = (self.ring[i, layer, rows].flatten(1, 2).transpose(1, 2) for i in (0, 1))
            attended = F.scaled_dot_product_attention(q.transpose(1, 2), keys, values, mask)
            x = block.finish(x, attended.transpose(1, 2), modulation)
        return dit.head(x, condition, estimate, facts)

    def write(self, rows, inputs):
        """The clean pass; what it leaves in the place under way goes into the ring."""
        window = self.c["dit"]["window"]
        self.a_pass(rows, 0.0, *inputs)
        index = torch.arange(self.slots)[rows]
        self.ring[:, :, index, self.frame[rows] % window] = self.ring[:, :, index, window]
        self.frame[rows] += 1

    def step(self, batch, deeds):
        everybody = len(batch) == len(self.rows)
        if everybody:
            by_player = dict(zip(batch, deeds))
            batch, rows = list(self.rows), slice(0, len(self.rows))
            deeds = [by_player[player] for player in batch]
        else:
            rows = torch.tensor([self.rows.index(player) for player in batch])
        for player in batch:
            if player.prompt != player.shown_prompt:
                self.themes[self.rows.index(player)] = self.theme(player.prompt)[0]
                player.shown_prompt = player.prompt
        action, theme = torch.tensor([deed[1] for deed in deeds]), self.themes[rows].clone()
        before = self.state[rows].clone()
        state = self.world.dynamics.advance(before, action)
        self.state[rows] = state
        estimate, columns = self.estimate(state, theme)
        carried = self.world.dit.carried(self.notes[rows], before, state)
        noise_video, noise_audio, events = self.noise(len(batch))
        video, audio = torch.zeros_like(noise_video), torch.zeros_like(noise_audio)
        for sigma in self.c["dit"]["sigmas"]:
            video, audio, note = self.a_pass(
                rows, sigma, (1 - sigma) * video + sigma * noise_video,
                (1 - sigma) * audio + sigma * noise_audio, carried, estimate, columns, before,
                state, action, theme, events)
        note = self.world.dit.settled(note, carried)
        self.notes[rows] = note
        self.hand_out(batch, deeds, *self.decode(video, audio))
        self.write(rows, (video, audio, note, estimate, columns, before, state, action, theme,
                          events))
