"""Files with a valid seal that nobody wrote in good faith: made, opened and read, as a program of its own.

`python -m tests.store.hostile FOLDER SEED COUNT` changes bytes of the heads of a feature file, one in parts,
a neighbor graph and a logits file, seals each anew, and reads it. It tells the number of each change first:
a crash is known.
"""

from __future__ import annotations

import dataclasses
import json
import random
import sys
from pathlib import Path

import numpy as np

from pool5.errors import UserError
from pool5.store.feature_file import FeatureFile
from pool5.store.header import FEATURES, PARTED
from pool5.store.layer_shape import LayerShape
from pool5.store.logits_file import KIND as LOGITS
from pool5.store.logits_file import LogitsFile, read_logits, write_logits
from pool5.store.neighbor_file import KIND as NEIGHBORS
from pool5.store.neighbor_file import GraphHead, GraphSplit, NeighborFile, write_neighbors
from pool5.store.verify import verify_feature_file
from tests.store.parted_file import long_content, write_parted
from tests.store.small_file import content, seal, write_small

ROWS = 60


def write_features(path: Path) -> None:
    shapes = {"fc": LayerShape((5,), "C", pooled_from=LayerShape((4, 5), "tokens,C", 1))}
    keys = content()["keys"]
    keys["fc"] = dataclasses.replace(keys["fc"], pool="cls")
    write_small(path, ROWS, keys=keys, shapes=shapes)


def write_graph(path: Path) -> None:
    splits = tuple(GraphSplit(name, 6, f"ids {name}", f"values {name}") for name in ("train", "test"))
    rows = np.argsort(np.random.default_rng(0).random((6, 6)))
    pairs = ((a.name, b.name, rows[:, :4], np.sort(rows[:, :4]).astype("f4")) for a in splits for b in splits)
    write_neighbors(path, GraphHead("d", "m/fc", "l2", 4, splits), pairs)


def write_scores(path: Path) -> None:
    ids = np.array(["a", "b", "ż"])
    write_logits(
        path, LogitsFile("m/fc", "test", {"node": "fc"}, ("cat",), ids, np.ones((3, 1)), np.eye(3)[:, :1])
    )


def values_of_features(path: Path) -> dict[str, np.ndarray]:
    file = FeatureFile.open(path)
    if problems := verify_feature_file(path):
        raise UserError(problems[0])
    shapes = {f"shape of {layer}": np.array(str(file.shape(layer))) for layer in file.layers}
    return {"ids": file.ids, "digests": file.digests, "labels": file.labels, **file.layers, **shapes}


def values_of_graph(path: Path) -> dict[str, np.ndarray]:
    graph = NeighborFile.open(path)
    pairs = {(a, b): graph.nearest(a, b) for a in ("train", "test") for b in ("train", "test")}
    return {f"{pair} {number}": part for pair, parts in pairs.items() for number, part in enumerate(parts)}


def values_of_scores(path: Path) -> dict[str, np.ndarray]:
    found = read_logits(path)
    return {"ids": found.ids, "labels": found.labels, "logits": found.logits}


def write_features_in_parts(path: Path) -> None:
    write_parted(path, **long_content(20))


KINDS = [
    (FEATURES, write_features, values_of_features),
    (PARTED, write_features_in_parts, values_of_features),
    (NEIGHBORS, write_graph, values_of_graph),
    (LOGITS, write_scores, values_of_scores),
]


def main(folder: Path, seed: int, count: int) -> None:
    rng = random.Random(seed)
    for kind, write, values_of in KINDS:
        path = folder / f"{kind.format}.h5"
        write(path)
        whole, sound = path.read_bytes(), values_of(path)
        head = json.loads(whole[whole.index(b"\n") + 1 :].split(b"\n")[0])["head"]
        rows = [
            (stop, start) for (_, stop), (start, _) in zip(head, [*head[1:], (len(whole), 0)], strict=True)
        ]
        rows = [(start, stop) for start, stop in rows if stop > start]
        dense = [at for start, stop in head for at in range(start, stop) if whole[at]]
        sparse = [at for start, stop in head for at in range(start, stop) if not whole[at]]
        for number in range(count):
            changed = bytearray(whole)
            for _ in range(rng.choice([1, 1, 2, 4])):
                at = rng.choice(dense if rng.random() < 0.8 else sparse)
                changed[at] = rng.choice([0, 1, 255, changed[at] ^ 1 << rng.randrange(8), rng.randrange(256)])
            path.write_bytes(changed)
            seal(path, kind, rows)
            print(kind.format, number, flush=True)
            try:
                found = values_of(path)
            except UserError as error:
                if len(str(error).splitlines()) != 1:
                    raise ValueError(str(error)) from None
            else:
                assert found.keys() == sound.keys(), found.keys()
                for name, values in found.items():
                    np.testing.assert_array_equal(values, sound[name], strict=True)
    print("all seen")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
