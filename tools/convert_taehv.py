"""Converts the autoencoder of a Waypoint world from a PyTorch file, which the server does not read.

    python -m tools.convert_taehv taehv1_5.pth my-world/taehv1_5.safetensors

`my-world` is a checkpoint folder as published: config.yaml and model.safetensors.
"""

import argparse

import torch
from safetensors.torch import save_file


def convert(state):
    """The published file may hold a first growing layer for two frames, of which version 1.5 shows
    the last: its later half of rows is kept."""
    rows, channels = state["decoder.7.conv.weight"].shape[:2]
    state["decoder.7.conv.weight"] = state["decoder.7.conv.weight"][rows - channels:]
    return {name: tensor.contiguous() for name, tensor in state.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("out")
    arguments = parser.parse_args()
    state = torch.load(arguments.source, map_location="cpu", weights_only=True)
    save_file(convert(state), arguments.out)


if __name__ == "__main__":
    main()
