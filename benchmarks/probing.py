"""The probe's solver beside scikit-learn's and PyTorch's L-BFGS: every class at every C of the grid."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import torch
from sklearn import linear_model

from benchmarks.contest import DIFFERENT, Peer, Row, contest, timed
from pool5.params import Probe
from pool5.probe.linear_probe import normalise
from pool5.probe.logistic_regression import LogisticRegression

_ROWS, _WIDTH, _CLASSES = 5000, 4096, 20
_GRID = Probe(of="model/layer").C
_LOOPED = 2  # classes that scikit-learn's loop does; its time is scaled up
_ENOUGH = 1e-4  # a solver stops at this part of the gradient at zero weights, in the norm that it looks at


def probing_rows(runs: int = 1) -> list[Row]:
    """Features and labels of the size of VOC 2007's trainval set on fc7; the same objective for all."""
    features, labels = _scene()
    work = {"Pool5": _ours, "LogisticRegression(lbfgs)": _sklearn, "torch.optim.LBFGS": _torch}
    run: dict[str, Callable] = {name: timed(lambda f=f: f(features, labels)) for name, f in work.items()}

    def scaled() -> tuple[float, np.ndarray]:
        seconds, found = run["LogisticRegression(lbfgs)"]()
        return seconds * _CLASSES / _LOOPED, found

    def check(mine: np.ndarray, theirs: np.ndarray) -> str:
        excess = (
            _objective(theirs, features, labels) / _objective(mine, features, labels)[:, : theirs.shape[1]]
        )
        low, high = excess.min() - 1, excess.max() - 1
        return f"{'' if high > -1e-3 else DIFFERENT}its objective is {low:+.1e} to {high:+.1e} of ours"

    looped = f"the loop did {_LOOPED} classes; its time is that times {_CLASSES // _LOOPED}"
    peers = [
        Peer("LogisticRegression(lbfgs)", version("scikit-learn"), scaled, check, note=looped),
        Peer("torch.optim.LBFGS", version("torch"), run["torch.optim.LBFGS"], check),
    ]
    given = f"{_ROWS} x {_WIDTH}, {_CLASSES} classes, {len(_GRID)} values of C"
    return contest("probe", given, "Pool5", run["Pool5"], peers, runs)


def _scene() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    spectrum = np.arange(1, 257, dtype=np.float32) ** -0.5
    hidden = random.normal(size=(_ROWS, 256)).astype(np.float32) * spectrum
    features = hidden @ (0.5 * random.normal(size=(256, _WIDTH)).astype(np.float32))
    features = np.maximum(features + 0.3 * random.normal(size=features.shape).astype(np.float32), 0)
    scores = hidden[:, :_CLASSES] / hidden[:, :_CLASSES].std(axis=0)
    scores = scores + 0.7 * random.normal(size=(_ROWS, _CLASSES))
    shown = np.append(0.4, np.linspace(0.03, 0.1, _CLASSES - 1))
    labels = np.where(scores > np.quantile(scores, 1 - shown, axis=0).diagonal(), 1, -1)
    return normalise(features), labels


def _ours(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    model, fit, found = LogisticRegression(features), None, []
    for C in _GRID:
        fit = model.fit(labels, np.full(_CLASSES, C), start=fit, tolerance=_ENOUGH)
        found.append(np.column_stack([fit.weight, fit.bias]))
    return np.stack(found)


def _sklearn(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    found = np.empty((len(_GRID), _LOOPED, _WIDTH + 1), np.float32)
    for k in range(_LOOPED):
        enough = _ENOUGH * float(np.abs(_first_gradient(features, labels[:, k])).max())
        model = linear_model.LogisticRegression(warm_start=True, tol=enough, max_iter=5000)
        for c, C in enumerate(_GRID):
            model.set_params(C=C).fit(features, labels[:, k])
            found[c, k] = np.append(model.coef_[0], model.intercept_)
    return found


def _torch(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    rows, signs = torch.from_numpy(features), torch.from_numpy(labels.astype(np.float32))
    weight, bias = (
        torch.zeros(_CLASSES, _WIDTH, requires_grad=True),
        torch.zeros(_CLASSES, requires_grad=True),
    )
    enough, found = _ENOUGH * float(np.abs(_first_gradient(features, labels)).max()), []
    for C in _GRID:
        solver = torch.optim.LBFGS(
            [weight, bias],
            max_iter=300,  # in float32 it may never come down to so small a gradient
            history_size=10,
            tolerance_grad=enough,
            line_search_fn="strong_wolfe",
        )

        def loss(solver: torch.optim.LBFGS = solver, C: float = C) -> torch.Tensor:
            solver.zero_grad()
            wrong = torch.nn.functional.softplus(-signs * (rows @ weight.T + bias)).mean(dim=0).sum()
            value = wrong + 0.5 / (C * _ROWS) * (weight * weight).sum()
            value.backward()
            return value

        solver.step(loss)
        found.append(torch.column_stack([weight, bias]).detach().numpy().copy())
    return np.stack(found)


def _first_gradient(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of the mean loss at zero weights, where the intercept is that of the prevalence."""
    present = labels == 1
    return features.T @ (present.mean(axis=0) - present) / len(features)


def _objective(found: np.ndarray, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of every C and class, from its weights and bias: (len(grid), K)."""
    values = np.empty(found.shape[:2])
    for c, C in enumerate(_GRID):
        weight, bias = found[c, :, :-1].astype(np.float64), found[c, :, -1]
        margins = labels[:, : found.shape[1]] * (features @ weight.T + bias)
        values[c] = np.logaddexp(0, -margins).mean(axis=0) + 0.5 * (weight**2).sum(axis=1) / (C * _ROWS)
    return values
