"""clip-retrieval's back end, without the network that it would load: it is asked with vectors.

python clip_retrieval_back.py DATABASE.npy PORT. It is its own application and server (`clip_back`), over a
flat index of vectors of length one, and metadata in Arrow.
"""

import importlib
import sys
import tempfile
from pathlib import Path
from unittest import mock

import faiss
import numpy as np
import pyarrow as pa
from placeholders import Placeholders

sys.meta_path.insert(0, Placeholders("all_clip", "sentence_transformers", "wandb", "webdataset"))
clip_back = importlib.import_module("clip_retrieval.clip_back")  # the package names a function so

_BLOCK = 50_000


def main(database: str, port: str) -> None:
    vectors = np.load(database, mmap_mode="r")
    index = faiss.IndexFlatIP(vectors.shape[1])
    for start in range(0, len(vectors), _BLOCK):
        index.add(np.ascontiguousarray(vectors[start : start + _BLOCK]))
    with tempfile.TemporaryDirectory() as folder:
        table = pa.table({"image_path": np.char.zfill(np.arange(len(vectors)).astype(np.str_), 7)})
        with pa.ipc.new_file(str(Path(folder, "0.arrow")), table.schema) as file:
            file.write_table(table)
        resource = clip_back.ClipResource(
            device="cpu",
            model=None,
            preprocess=None,
            tokenizer=None,
            model_txt_mclip=None,
            safety_model=None,
            violence_detector=None,
            metadata_provider=clip_back.ArrowMetadataProvider(folder),
            image_index=index,
            text_index=None,
            ivf_old_to_new_mapping=None,
            columns_to_return=["image_path"],
            metadata_is_ordered_by_ivf=False,
            aesthetic_embeddings=None,
        )
        with mock.patch.object(clip_back, "load_clip_indices", return_value={"index": resource}):
            clip_back.clip_back(port=int(port))


main(*sys.argv[1:])
