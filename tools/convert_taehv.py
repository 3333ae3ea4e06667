"""Converts the autoencoder of a Waypoint world from a PyTorch file, which the server does not read.

    python -m tools.convert_taehv taehv1_5.pth my-world/taehv1_5.safetensors

`my-world` is a checkpoint folder as published: config.yaml and model.safetensors. The author of
TAEHV publishes safetensors files as well; those are used as they are.
"""

import argparse

import torch
from safetensors.torch import save_file


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("out")
    arguments = parser.parse_args()
    state = torch.load(arguments.source, map_location="cpu", weights_only=True)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, arguments.out)


if __name__ == "__main__":
    main()
