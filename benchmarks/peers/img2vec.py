"""img2vec-pytorch: one image a call or lists of them, as its README shows."""

from importlib.metadata import version

import numpy as np
import torch
from PIL import Image
from serve import serve


def prepare(arguments):
    import torchvision

    # it fetches weights by itself; the same random ones are given to both sides instead
    network = torchvision.models.resnet18()
    network.load_state_dict(torch.load(arguments["weights"], weights_only=True))
    torchvision.models.resnet18 = lambda *args, **options: network
    from img2vec_pytorch import Img2Vec

    img2vec = Img2Vec(model="resnet18", cuda=False)
    paths, batch = arguments["paths"], arguments["batch"]

    def run():
        rows = []
        for start in range(0, len(paths), batch):
            images = [Image.open(path).convert("RGB") for path in paths[start : start + batch]]
            rows.append(np.asarray(img2vec.get_vec(images)).reshape(len(images), -1))
        np.save(arguments["out"], np.concatenate(rows))
        return {}

    return {"version": version("img2vec-pytorch")}, run


serve(prepare)
