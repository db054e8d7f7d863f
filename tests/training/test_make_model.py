from __future__ import annotations

import dataclasses

import numpy as np

from pool5.training.make_model import without


def test_what_is_held_out_is_known_by_its_bytes_and_not_by_its_name(toy):
    train, val = toy.train.take(np.arange(24)), toy.val
    namesakes = dataclasses.replace(val, ids=train.ids[: len(val)])
    assert list(without(train, namesakes).ids) == list(train.ids)
    renamed = dataclasses.replace(val, ids=np.array([f"other{i}" for i in range(len(val))]))
    assert list(without(toy.train, renamed).ids) == list(train.ids)
