"""Walks through a world, saving each frame:  python3 play.py "a snowy night" frames/ [host:port]

Needs python3-grpcio, python3-protobuf, and the stubs that the build writes on PYTHONPATH
(build/release/client/examples/gen).
"""

import pathlib
import sys

import grpc
from firstbyte.v1 import world_pb2, world_pb2_grpc

WALK = [(["forward"], 20), (["turn_left", "forward"], 8), ([], 4), (["forward"], 20)]


def requests(prompt):
    """The world, then what the player does: in LOCKSTEP each action is a frame."""
    yield world_pb2.StepWorldRequest(open=world_pb2.OpenWorld(
        create=world_pb2.CreateOrigin(seed=7, prompt=prompt), pacing=world_pb2.PACING_LOCKSTEP,
        video=world_pb2.VideoConfig(format=world_pb2.VIDEO_FORMAT_PNG)))
    sequence = 0
    for keys, frames in WALK:
        for _ in range(frames):
            sequence += 1
            yield world_pb2.StepWorldRequest(
                actions=world_pb2.Actions(sequence=sequence, keys=keys))


def play(prompt, folder, target="127.0.0.1:50051"):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with grpc.insecure_channel(target) as channel:
        for response in world_pb2_grpc.WorldServiceStub(channel).StepWorld(requests(prompt)):
            if response.HasField("opened"):
                print(f"{response.opened.model}: {response.opened.width} x {response.opened.height}")
            elif response.HasField("block"):  # as soon as it was made
                name = folder / f"{response.block.index:06d}.png"
                name.write_bytes(response.block.frames[0].data)
            elif response.HasField("summary"):
                print(f"{response.summary.block_count} blocks")


if __name__ == "__main__":
    play(*sys.argv[1:])
