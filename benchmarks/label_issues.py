"""Labels in doubt beside cleanlab: 5 % of the labels of real photographs are turned, and who finds them.

Both sides judge by the same probabilities: held out, and calibrated on held-out folds. The list is as long as
there are turned labels, so its precision is its recall.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torchvision

from benchmarks.contest import DIFFERENT, Peer, PeerFailedError, Row, contest, timed
from benchmarks.peer_environment import PeerProcess
from pool5.analysis.label_issues.noise import estimate_rates, probably_wrong
from pool5.datasets.kinds import KINDS
from pool5.datasets.roots import open_tree
from pool5.images.address import Address
from pool5.images.image_file import read_image
from pool5.images.transform import resize_and_crop
from pool5.params import Dataset, Preprocess, Probe
from pool5.probe.calibration import cross_fitted
from pool5.probe.linear_probe import normalise, train_probe
from pool5.probe.logistic_regression import LogisticRegression
from pool5.probe.regularisation import assign_folds, held_out_logits

SHARED = Path("../shared")
PHOTOGRAPHS, WEIGHTS = "data/voc2012-animals", "weights/torch-home/hub/checkpoints/mobilenet_v2-b0353104.pth"
TURNED = {"of all": "5 % of all labels", "of present": "5 % of the present labels, and as many absent ones"}
_FOLDS, _BATCH = 5, 32
_FEWEST = 5  # images of a class


def label_rows(scratch: Path, runs: int = 3, seed: int = 0) -> list[Row]:
    """A row for each way of turning labels."""
    features, labels = photographs(SHARED)
    rows = []
    for how, said in TURNED.items():
        turned = turn(labels, how, seed)
        given = np.where(turned, -labels, labels).astype(np.int8)
        shown = held_out_probabilities(features, given)
        paths = {"given": str(scratch / f"{how}.npz"), "out": str(scratch / f"{how}.npy")}
        np.savez(paths["given"], shown=shown, present=given == 1)
        peer = PeerProcess("cleanlab_issues", **paths)

        def ask(peer: PeerProcess = peer, out: str = paths["out"]) -> tuple[float, np.ndarray]:
            seconds, _ = peer.run()
            return seconds, 1 - np.load(out)

        def check(ours: np.ndarray, theirs: np.ndarray, turned=turned, given=given) -> str:
            found = [recall(each, turned, given) for each in (ours, theirs)]
            images = [recall_of_images(each, turned, given) for each in (ours, theirs)]
            said = f"recall and precision {found[0]:.3f}, the peer's {found[1]:.3f}; of images, by their "
            said += f"most doubted label, {images[0]:.3f}, the peer's {images[1]:.3f}"
            return said if found[0] >= found[1] else DIFFERENT + said

        work = timed(lambda shown=shown, given=given: doubt(shown, given))
        note = "cleanlab ranks by self-confidence; Pool5 estimates the rates of wrong labels as well"
        them = Peer("cleanlab", peer.version, None if peer.missing else ask, check, peer.missing, note)
        what = f"{len(labels)} real photographs, {labels.shape[1]} classes, {said} turned: {turned.sum()}"
        rows += contest("labels in doubt", what, "Pool5", work, [them], runs)
        peer.stop()
    return rows


def photographs(shared: Path) -> tuple[np.ndarray, np.ndarray]:
    """The features (N, D) of ImageNet's mobilenet_v2, and the labels (N, K) of classes that are shown."""
    root = shared / PHOTOGRAPHS
    if not root.is_dir():
        raise PeerFailedError(f"no folder {root}")
    dataset = Dataset(name="any", kind="voc", root=str(root), train="trainval", test="test")
    listings = KINDS["voc"](open_tree(str(root)), dataset, ())
    network = torchvision.models.mobilenet_v2()
    network.load_state_dict(torch.load(shared / WEIGHTS, weights_only=True))
    network.eval()
    splits = [listings["trainval"], listings["test"]]
    features = [_embed(network, [Address.parse(path, root) for path in split.paths]) for split in splits]
    labels = np.concatenate([np.asarray(split.labels) for split in splits])
    return np.concatenate(features), labels[:, (labels == 1).sum(axis=0) >= _FEWEST]


def _embed(network: torchvision.models.MobileNetV2, images: list[Address]) -> np.ndarray:
    given = Preprocess(resize=256, crop=224)
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (given.mean, given.std))
    found = []
    for start in range(0, len(images), _BATCH):
        pixels = np.stack([resize_and_crop(read_image(i), given) for i in images[start : start + _BATCH]])
        batch = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - mean) / std
        with torch.inference_mode():
            found.append(network.features(batch).mean((2, 3)).numpy())
    return np.concatenate(found)


def turn(labels: np.ndarray, how: str, seed: int) -> np.ndarray:
    """Which labels to turn, (N, K) bool: see `TURNED`; added ones are of a class as often as it is shown."""
    rng = np.random.default_rng(seed)
    if how == "of all":
        return (rng.random(labels.shape) < 0.05) & (labels != 0)
    present, absent = np.flatnonzero(labels == 1), np.flatnonzero(labels == -1)
    count = round(0.05 * len(present))
    shares = (labels == 1).sum(axis=0)[absent % labels.shape[1]].astype(float)
    turned = np.zeros(labels.size, bool)
    turned[rng.choice(present, count, replace=False)] = True
    turned[rng.choice(absent, count, replace=False, p=shares / shares.sum())] = True
    return turned.reshape(labels.shape)


def held_out_probabilities(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N, K): what the stage label_issues makes of the training split."""
    rows, names = normalise(features), [str(k) for k in range(labels.shape[1])]
    settings = Probe(of="model/layer", C=(0.1, 1.0, 10.0, 100.0))
    chosen = train_probe(rows, labels, names, settings).record.classes
    grid = np.array([[each.C for each in chosen]], np.float64)
    (scores,), _ = held_out_logits(
        LogisticRegression(rows), rows, labels, grid, settings.folds, settings.seed
    )
    return np.clip(cross_fitted(scores, labels, assign_folds(labels, _FOLDS, 0)), 1e-6, 1 - 1e-6)


def doubt(shown: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How probably each label is not right, (N, K)."""
    rates = estimate_rates(shown, labels)
    assert rates is not None
    return probably_wrong(shown, labels, rates)


def recall(doubts: np.ndarray, turned: np.ndarray, labels: np.ndarray) -> float:
    """Of the turned labels, the share among as many of the most doubted ones; labels of 0 do not count."""
    known = labels != 0
    first = np.argsort(-doubts[known], kind="stable")[: turned.sum()]
    return float(turned[known][first].mean())


def recall_of_images(doubts: np.ndarray, turned: np.ndarray, labels: np.ndarray) -> float:
    """The same of images: each is doubted as its most doubted label is."""
    wrong = turned.any(axis=1)
    first = np.argsort(-np.where(labels != 0, doubts, 0).max(axis=1), kind="stable")[: wrong.sum()]
    return float(wrong[first].mean())
