"""What people write: a DataLoader, a list of batches, one array saved; with the mistakes mended."""

import contextlib
import os

import numpy as np
import torch
import torchvision
from PIL import Image
from preprocessing import imagenet_transform
from serve import serve
from torch import nn


class Images(torch.utils.data.Dataset):
    def __init__(self, paths, transform):
        self.paths, self.transform = paths, transform

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, number):
        with Image.open(self.paths[number]) as image:
            return self.transform(image.convert("RGB"))


def prepare(arguments):
    device = arguments["device"]
    network = torchvision.models.get_model(arguments["architecture"], weights=None)
    network.load_state_dict(torch.load(arguments["weights"], weights_only=True))
    for head in ("fc", "classifier"):  # the features are what goes into it
        if hasattr(network, head):
            setattr(network, head, nn.Identity())
    network = network.eval().to(device).to(memory_format=torch.channels_last)
    half = torch.autocast(device, torch.bfloat16)
    arithmetic = half if arguments["precision"] == "bf16" else contextlib.nullcontext()

    def run():
        loader = torch.utils.data.DataLoader(
            Images(arguments["paths"], imagenet_transform()),
            batch_size=arguments["batch"],
            num_workers=len(os.sched_getaffinity(0)),
        )
        found = []
        with torch.no_grad(), arithmetic:
            for batch in loader:
                found.append(network(batch.to(device)).float().cpu().numpy())
        np.save(arguments["out"], np.concatenate(found))
        return {}

    return {"version": f"torch {torch.__version__}"}, run


serve(prepare)
