"""Writes the voice as a Hugging Face-style folder: config.json and model.safetensors.

    python -m tools.train.voice.export --random --out build/voice         # to build an engine with
    python -m tools.train.voice.export --out models/aligned-mel-en      # what train.py made

Matrices and embeddings are bf16; vectors (biases, norm gains, statistics) stay float32.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from tools.train.voice.model import CONFIG, AlignedMel, init_weights

# In order of first appearance in the training data; written to config.json.
PHONES = ("<pad> pau aa r y uw dh eh hh iy p uh t ax s n ao ng ih l b g ae jh "
          "ey sh w z d ay f zh er k th m aw v ah ow ch oy").split()


def export(model, folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = CONFIG | {"phones": PHONES, "torch_dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    tensors = {name: (value.bfloat16() if value.dim() > 1 else value.float()).contiguous()
               for name, value in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)


def random_model():
    """Random weights of realistic scale, and statistics that let the vocoder make sound."""
    torch.manual_seed(1)
    model = init_weights(AlignedMel(len(PHONES)))
    torch.nn.init.normal_(model.acoustic.head.weight, std=0.05)
    torch.nn.init.constant_(model.acoustic.head.bias, 0.3)
    model.stats_mean[:80], model.stats_std[:80] = -3.0, 1.5
    model.stats_mean[80], model.stats_std[80] = 4.6, 0.15
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="models/aligned-mel-en")
    parser.add_argument("--random", action="store_true", help="untrained weights")
    arguments = parser.parse_args()
    if arguments.random:
        export(random_model(), arguments.out)
    else:
        from tools.train.voice.train import latest_model
        export(latest_model(), arguments.out)


if __name__ == "__main__":
    main()
