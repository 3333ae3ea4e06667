"""Writes the world as a Hugging Face-style folder: config.json and model.safetensors.

    python -m tools.train.world.export --random --out build/world      # to build an engine with
    python -m tools.train.world.export --out models/state-dit-rooms    # what train.py made

Matrices and convolutions are bf16; vectors, learned maps and the sound's basis stay float32.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from tools.train.world.model import CONFIG, World

FLOAT32 = ("rays.density", "rays.colors", "dynamics.grid", "audio.", "dit.tokens", "prompt.")


def export(world, folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(world.c, indent=2) + "\n")
    tensors = {}
    for name, value in world.state_dict().items():
        narrow = value.dim() > 1 and not name.startswith(FLOAT32)
        tensors[name] = (value.bfloat16() if narrow else value.float()).contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)


def random_world():
    """Random weights of realistic scale: every path carries signal, nothing is zero."""
    torch.manual_seed(1)
    world = World(CONFIG)
    for name, parameter in world.named_parameters():
        if name.endswith("conv2.weight") or "modulation" in name or "final" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    noise = torch.randn(1, *world.rays.density.shape[1:])
    world.rays.density.data.add_(0.5 * noise)
    world.audio.basis.normal_(std=0.02)
    world.audio.inverse.normal_(std=0.02)
    world.autoencoder.std.fill_(0.5)
    return world


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="models/state-dit-rooms")
    parser.add_argument("--random", action="store_true", help="untrained weights")
    arguments = parser.parse_args()
    if arguments.random:
        export(random_world(), arguments.out)
    else:
        from tools.train.world.train import latest_world
        export(latest_world(), arguments.out)


if __name__ == "__main__":
    main()
