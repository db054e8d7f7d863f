"""thingsvision: its extractor over its own dataset and loader, features flattened and saved as .npy."""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from placeholders import UNUSED, Placeholders
from preprocessing import imagenet_transform
from serve import serve


def prepare(arguments):
    np.AxisError = np.exceptions.AxisError  # it pins NumPy 1
    sys.meta_path.append(Placeholders(*UNUSED))
    from thingsvision.core.extraction.extractors import TimmExtractor, TorchvisionExtractor
    from thingsvision.utils.data import DataLoader, ImageDataset

    library, _, name = arguments["architecture"].rpartition("/")
    Extractor = TimmExtractor if library == "timm" else TorchvisionExtractor
    extractor = Extractor(
        model_name=name,
        pretrained=False,
        device="cpu",
        model_parameters={"token_extraction": "cls_token"} if arguments["pool"] == "cls" else None,
        preprocess=imagenet_transform(),
    )
    extractor.model.load_state_dict(torch.load(arguments["weights"], weights_only=True))

    module = {"flatten": "avgpool"}.get(arguments["node"], arguments["node"])  # hooks are on modules

    def run():
        dataset = ImageDataset(
            root=arguments["folder"],
            out_path=arguments["scratch"],
            backend="pt",
            transforms=extractor.get_transformations(),
        )
        batches = DataLoader(dataset=dataset, batch_size=arguments["batch"], backend="pt")
        features = extractor.extract_features(
            batches=batches, module_name=module, flatten_acts=True, output_type="ndarray"
        )
        np.save(arguments["out"], features)
        return {"names": [Path(name).stem for name in (*dataset.images,)]}

    return {"version": version("thingsvision")}, run


serve(prepare)
