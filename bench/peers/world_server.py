"""WorldService by grpc.aio and PyTorch, to compare firstbyte with.

    python -m bench.peers.world_server --mode single|batched --model models/state-dit-rooms \
        [--port 50062] [--slots 32] [--threads 1]

Serves RAW_RGB and PCM16 in LOCKSTEP and REALTIME; no resume, no snapshots, no seed image. Run it in
the training environment.
"""

import asyncio
from pathlib import Path

import grpc
import torch

from bench.peers.peer_service import import_stubs, parser, serve
from bench.peers.world_engines import Batched, Player, Single

pb, pb_grpc = import_stubs("world")


class WorldService(pb_grpc.WorldServiceServicer):
    def __init__(self, engine, name):
        self.engine, self.name, self.c = engine, name, engine.c

    def vocabulary(self):
        return pb.ActionVocabulary(keys=self.c["keys"], pointer=True)

    async def ListWorlds(self, request, context):
        return pb.ListWorldsResponse(worlds=[pb.World(
            model=self.name, width=self.c["width"], height=self.c["height"], fps=self.c["fps"],
            frames_per_block=1, action_vocabulary=self.vocabulary(),
            audio_sample_rate_hertz=self.c["sample_rate"], is_default=True)])

    async def StepWorld(self, requests, context):
        loop, out, with_sound, player = asyncio.get_running_loop(), asyncio.Queue(), False, None
        first = await anext(aiter(requests), None)
        if first is None or not first.HasField("open"):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first message is `open`")
        opened = first.open
        with_sound = opened.HasField("audio")
        player = Player(opened.create.seed, opened.create.prompt,
                        opened.pacing == pb.PACING_REALTIME,
                        lambda made: loop.call_soon_threadsafe(out.put_nowait, made))
        if not self.engine.add(player):
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "all slots are taken")
        reader = asyncio.create_task(self.read(requests, player))
        try:
            yield self.opened(opened, with_sound)
            while (made := await out.get()) is not None:
                for response in self.messages(made, with_sound):
                    yield response
            yield pb.StepWorldResponse(summary=pb.WorldSummary(
                end_reason=pb.WORLD_END_REASON_CLOSED, block_count=player.block,
                skipped_block_count=player.skipped))
        finally:
            reader.cancel()
            self.engine.tell(player, close)

    async def read(self, requests, player):
        async for request in requests:
            if request.HasField("actions"):
                self.act(player, request.actions)
            elif request.HasField("credit"):
                self.engine.tell(player, lambda p, n=request.credit.blocks: add_credit(p, n))
            elif request.HasField("prompt"):
                self.engine.tell(player, lambda p, t=request.prompt.text: setattr(p, "prompt", t))
            elif request.control.kind == pb.CONTROL_KIND_CLOSE:
                break
        self.engine.tell(player, close_when_played)

    def act(self, player, actions):
        action = [float(key in actions.keys) for key in self.c["keys"]]
        action.append(max(-1.0, min(1.0, actions.pointer_dx)))

        def change(p):
            if p.realtime:
                p.actions.clear()
            else:
                p.credit += 1
            p.actions.append((actions.sequence, action))

        self.engine.tell(player, change)

    def opened(self, asked, with_sound):
        response = pb.StepWorldResponse(opened=pb.WorldOpened(
            session_id="peer", model=self.name, seed=asked.create.seed, width=self.c["width"],
            height=self.c["height"], fps=self.c["fps"], frames_per_block=1,
            action_vocabulary=self.vocabulary(), video_format=pb.VIDEO_FORMAT_RAW_RGB))
        if with_sound:
            audio = response.opened.audio_format
            audio.encoding, audio.sample_rate_hertz, audio.channel_count = (
                1, self.c["sample_rate"], 1)  # PCM16
        return response

    def messages(self, made, with_sound):
        index, sequence, pixels, samples, skipped = made
        block = pb.StepWorldResponse(block=pb.Block(
            index=index, applied_action_sequence=sequence, frames=[pb.Frame(data=pixels)]))
        start = round(index * 1e9 / self.c["fps"])
        block.block.presentation_offset.FromNanoseconds(start)
        yield block
        if with_sound:
            audio = pb.StepWorldResponse()
            audio.audio.sequence, audio.audio.data = index, samples
            audio.audio.start_offset.FromNanoseconds(start)
            audio.audio.duration.FromNanoseconds(round(1e9 / self.c["fps"]))
            yield audio


def add_credit(player, blocks):
    player.credit += blocks


def close_when_played(player):
    player.closing = True


def close(player):
    player.actions.clear()
    player.closing = True


async def play_with_all(arguments):
    torch.set_num_threads(arguments.threads)
    engine = {"single": Single, "batched": Batched}[arguments.mode](arguments.model,
                                                                    arguments.slots)
    await serve(pb_grpc.add_WorldServiceServicer_to_server,
                WorldService(engine, Path(arguments.model).name), arguments)


def main():
    flags = parser(__doc__.splitlines()[0], "models/state-dit-rooms", port=50062, slots=32)
    asyncio.run(play_with_all(flags.parse_args()))


if __name__ == "__main__":
    main()
