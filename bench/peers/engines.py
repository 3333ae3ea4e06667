"""The two peers. Both turn text into int16 chunks with the same voice; they differ in who waits.

OneAtATime   as it is usually written: a lock around the model, one request after the other, the
             model's own forward with concatenated caches. No batching, no pacing.
Batched      as a good engineer would write it: slots with preallocated caches, one step loop that
             batches the frames of all streams that need one and then their vocoder, urgent streams
             first, chunks that grow with the lead, streams paused once they are far ahead.
"""

import asyncio
import collections
import threading
import time

import torch

from bench.peers.voice import StreamingVoice
from tools.train.voice.model import FEATURES, STACK

CHUNKS = (1, 2, 4, 8)  # frames in an audio message, growing
MAX_BATCH = 64
URGENT_SECONDS, COMFORTABLE_SECONDS = 0.15, 0.6


class Full(Exception):
    """Every slot is taken."""


class Job:
    """One request; `out` receives int16 arrays, then None or an exception."""

    def __init__(self, clauses, stretch, max_lead, loop):
        self.clauses, self.stretch, self.max_lead = collections.deque(clauses), stretch, max_lead
        self.loop, self.out = loop, asyncio.Queue()
        self.arrived, self.began, self.worked, self.paused = time.monotonic(), None, None, 0.0
        self.cancelled, self.samples, self.chunks = False, 0, 0

    def work(self):
        now = time.monotonic()
        self.began = self.began or now
        self.worked = now

    def put(self, item):
        self.loop.call_soon_threadsafe(self.out.put_nowait, item)

    def send(self, samples):
        self.samples += len(samples)
        self.chunks += 1
        self.put(samples)

    def realtime_factor(self):
        if not self.samples:
            return 0.0
        return (self.worked - self.began - self.paused) / (self.samples / 16000)


class OneAtATime:
    def __init__(self, folder):
        self.voice = StreamingVoice(folder, slots=1)
        self.lock = threading.Lock()

    def submit(self, job):
        threading.Thread(target=self.run, args=(job,), daemon=True).start()

    @torch.inference_mode()
    def run(self, job):
        with self.lock:
            try:
                self.speak(job)
                job.put(None)
            except Exception as error:  # to the one who asked; the server lives on
                job.put(error)

    def speak(self, job):
        vocoder, model = self.voice.vocoder, self.voice.voice.model.acoustic
        vocoder.start_stream(0)
        pending = []

        def decode():
            features = torch.stack(pending).reshape(1, -1, FEATURES)
            pending.clear()
            job.send(self.voice.pcm16(vocoder.push([0], features)[0]))

        first = True
        while job.clauses:
            job.work()
            conditions = self.voice.conditions(*job.clauses.popleft(), first, job.stretch)[None]
            feedback, caches, first = torch.zeros(1, 1, STACK * FEATURES), None, False
            for i in range(conditions.shape[1]):
                if job.cancelled:
                    return
                feedback, caches = model(conditions[:, i:i + 1], feedback, i, caches)
                pending.append(feedback[0, 0])
                if len(pending) >= CHUNKS[min(job.chunks, len(CHUNKS) - 1)]:
                    decode()
                job.work()
        if pending:
            decode()
        job.send(self.voice.pcm16(vocoder.finish(0)))
        job.work()


class Stream:
    """A job that holds a slot."""

    def __init__(self, job, slot):
        self.job, self.slot = job, slot
        self.conditions, self.frame, self.first = None, 0, True
        self.features = []  # frames that wait for the vocoder
        self.heard_since = None
        self.pause_began = None

    def lead(self, now):
        """Seconds of audio sent and not yet played; none before the first chunk."""
        if self.heard_since is None:
            return 0.0
        ahead = self.job.samples / 16000 - (now - self.heard_since)
        if ahead < 0:  # it ran dry: the player waits, and never catches up
            self.heard_since -= ahead
            return 0.0
        return ahead

    def more_text(self):
        return self.job.clauses or (self.conditions is not None
                                    and self.frame < len(self.conditions))

    def chunk(self, now):
        """Frames to decode together: few while the next sound is due, many once there is time."""
        lead = self.lead(now)
        return next((frames for frames, enough in zip(CHUNKS, (0.12, 0.3, 0.8)) if lead < enough),
                    CHUNKS[-1])


class Batched:
    def __init__(self, folder, slots):
        self.voice = StreamingVoice(folder, slots)
        self.free, self.streams = list(range(slots)), []
        self.arrivals, self.changed = collections.deque(), threading.Condition()
        self.slots_promised = slots
        threading.Thread(target=self.loop, daemon=True).start()

    def submit(self, job):
        with self.changed:
            if self.slots_promised == 0:
                raise Full
            self.slots_promised -= 1
            self.arrivals.append(job)
            self.changed.notify()

    @torch.inference_mode()
    def loop(self):
        while True:
            self.admit()
            now = time.monotonic()
            chosen = self.choose(now)
            if not chosen:
                time.sleep(0.002)  # everyone is comfortably ahead
                continue
            self.generate(chosen)
            self.decode(chosen)
            for stream in [s for s in chosen if not s.more_text() and not s.features]:
                self.end(stream)

    def admit(self):
        with self.changed:
            while not self.streams and not self.arrivals:
                self.changed.wait()
            arrived = list(self.arrivals)
            self.arrivals.clear()
        for job in arrived:
            stream = Stream(job, self.free.pop())
            self.voice.vocoder.start_stream(stream.slot)
            self.streams.append(stream)
        for stream in [s for s in self.streams if s.job.cancelled]:
            self.release(stream)

    def choose(self, now):
        """The most urgent streams; where some are in a hurry, those that are not wait."""
        ready = []
        for stream in self.streams:
            if stream.lead(now) < stream.job.max_lead:
                if stream.pause_began is not None:
                    stream.job.paused += now - stream.pause_began
                    stream.pause_began = None
                ready.append(stream)
            elif stream.pause_began is None:
                stream.pause_began = now
        ready.sort(key=lambda stream: stream.lead(now))
        if ready and ready[0].lead(now) < URGENT_SECONDS:
            ready = [s for s in ready if s.lead(now) < COMFORTABLE_SECONDS]
        return ready[:MAX_BATCH]

    def generate(self, chosen):
        batch = [s for s in chosen if s.more_text()]
        for stream in batch:
            stream.job.work()
            if stream.conditions is None or stream.frame == len(stream.conditions):
                stream.conditions = self.voice.conditions(*stream.job.clauses.popleft(),
                                                          stream.first, stream.job.stretch)
                stream.frame, stream.first = 0, False
                self.voice.acoustic.start_clause(stream.slot)
        if not batch:
            return
        conditions = torch.stack([s.conditions[s.frame] for s in batch])
        features = self.voice.acoustic.step([s.slot for s in batch], conditions)
        for stream, frame in zip(batch, features):
            stream.features.append(frame)
            stream.frame += 1

    def decode(self, chosen):
        now = time.monotonic()
        groups = collections.defaultdict(list)  # same length, same phase: one batch
        for stream in chosen:
            size = min(stream.chunk(now), len(stream.features))
            if size and (size == stream.chunk(now) or not stream.more_text()):
                groups[size, self.voice.vocoder.begun[stream.slot]].append(stream)
        for (size, _), streams in groups.items():
            features = torch.stack([torch.stack(s.features[:size]) for s in streams])
            features = features.reshape(len(streams), -1, FEATURES)
            samples = self.voice.pcm16(self.voice.vocoder.push([s.slot for s in streams], features))
            for stream, piece in zip(streams, samples):
                del stream.features[:size]
                self.deliver(stream, piece)

    def deliver(self, stream, samples):
        stream.job.send(samples)
        stream.job.work()
        if stream.heard_since is None:
            stream.heard_since = time.monotonic()

    def end(self, stream):
        self.deliver(stream, self.voice.pcm16(self.voice.vocoder.finish(stream.slot)))
        stream.job.put(None)
        self.release(stream)

    def release(self, stream):
        self.streams.remove(stream)
        self.free.append(stream.slot)
        with self.changed:
            self.slots_promised += 1
