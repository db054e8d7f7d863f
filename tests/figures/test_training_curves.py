"""Trainings by epoch: a line a model that has the metric."""

from __future__ import annotations

from pool5.figures.training_curves import training_figure


def test_a_line_a_model_by_epoch_from_one():
    figure = training_figure("loss", {"caffenet": [0.7, 0.4, 0.3], "resnet18": [0.5]})
    assert [line.get_label() for line in figure.axes[0].lines] == ["caffenet", "resnet18"]
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[1, 0.7], [2, 0.4], [3, 0.3]]


def test_a_model_without_the_metric_has_no_line_and_keeps_its_colour():
    figure = training_figure("val_map", {"caffenet": [None, None], "resnet18": [None, 0.4]})
    (line,) = figure.axes[0].lines
    alone = training_figure("loss", {"caffenet": [0.1], "resnet18": [0.2]}).axes[0].lines[1]
    assert line.get_xydata().tolist() == [[2, 0.4]]
    assert line.get_color() == alone.get_color()


def test_a_metric_that_no_model_has_is_no_figure():
    assert training_figure("val_map", {"caffenet": [None]}) is None
    assert training_figure("loss", {}) is None
