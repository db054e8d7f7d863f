import msgspec
import numpy as np
import pytest

from pool5.analysis.model_scores import load_scores
from pool5.errors import UserError
from pool5.params import load_params
from pool5.project import Project
from pool5.results.record import save_record
from pool5.results.training import TrainingResult
from pool5.store.feature_key import FeatureKey
from pool5.store.feature_writer import write_feature_file
from pool5.store.logits_file import LogitsFile, write_logits

IDS = np.array(["000001", "000002", "000004"])
LABELS = np.array([[1, -1], [0, 1], [-1, -1]], np.int8)
LOGITS = np.array([[1, -2], [0.5, 3], [-1, -1]], np.float32)


@pytest.fixture
def params(tmp_path):
    text = """
dataset: {name: d, kind: voc, root: r, train: trainval, test: test}
models:
  net:
    architecture: a
    weights: random
    layers: {fc7: f, logits: l}
    preprocess: {resize: 8, crop: 8}
    train: null
extract: {}
index: {of: [net/fc7]}
neighbors: {of: [net/fc7]}
duplicates: {of: net/fc7}
tsne: {of: [net/fc7]}
probe: {frozen: {of: net/fc7}}
ap: {of: [net, frozen]}
"""
    (tmp_path / "params.yaml").write_text(text)
    return load_params(tmp_path / "params.yaml")


def write_probe(root, ids=IDS, labels=LABELS, logits=LOGITS, classes=("cat", "dog")):
    content = LogitsFile("net/fc7", "test", {}, classes, ids, labels, logits)
    write_logits(Project(root).probe("frozen"), content)


def write_model(root, logits=LOGITS, labels=LABELS, classes=("cat", "dog")):
    key = FeatureKey("a", "0" * 64, "l", {}, "fp32", "float32", 1)
    write_feature_file(
        Project(root).features("net", "test"),
        dataset="d",
        split="test",
        model="net",
        classes=classes,
        ids=IDS,
        digests=np.zeros((3, 16), np.uint8),
        labels=labels,
        layers={"logits": logits},
        keys={"logits": key},
    )


def test_models_and_probes_are_read_side_by_side(tmp_path, params):
    write_model(tmp_path, 2 * LOGITS)
    write_probe(tmp_path)
    found = load_scores(["net", "frozen"], params, Project(tmp_path))
    assert list(found.scores) == ["net", "frozen"]
    np.testing.assert_array_equal(found.scores["net"], 2 * LOGITS)
    np.testing.assert_array_equal(found.scores["frozen"], LOGITS)
    np.testing.assert_array_equal(found.ids, IDS)
    np.testing.assert_array_equal(found.labels, LABELS)


def test_different_test_images_are_told_with_the_first_that_differs(tmp_path, params):
    write_model(tmp_path)
    write_probe(tmp_path, ids=np.array(["000001", "000002", "000003"]))
    with pytest.raises(UserError, match=r"net \(3 images\) and frozen \(3\) differ .* 000003 is in one only"):
        load_scores(["net", "frozen"], params, Project(tmp_path))
    write_probe(tmp_path, ids=IDS[::-1])
    with pytest.raises(UserError, match="the order differs"):
        load_scores(["net", "frozen"], params, Project(tmp_path))


def test_different_labels_are_told(tmp_path, params):
    write_model(tmp_path)
    write_probe(tmp_path, labels=-LABELS)
    with pytest.raises(UserError, match="net and frozen have different labels"):
        load_scores(["net", "frozen"], params, Project(tmp_path))


def test_logits_of_another_task_are_refused(tmp_path, params):
    write_model(tmp_path, np.zeros((3, 1000), np.float32))
    with pytest.raises(UserError, match="net gives 1000 logits for 2 classes"):
        load_scores(["net"], params, Project(tmp_path))


def test_a_data_set_without_classes_and_an_empty_list_leave_a_gap(tmp_path, params):
    write_probe(tmp_path, labels=LABELS[:, :0], logits=LOGITS[:, :0], classes=())
    found = load_scores(["frozen"], params, Project(tmp_path))
    assert (found.scores, found.classes, len(found.ids)) == ({}, (), 3)
    assert found.gaps == ("the data set has no classes: there is no average precision",)
    found = load_scores([], params, Project(tmp_path))
    assert found.gaps == ("ap.of names no model and no probe: there is no average precision",)


def test_logits_of_nan_name_model_and_class(tmp_path, params):
    logits = LOGITS.copy()
    logits[1, 1] = np.nan
    write_model(tmp_path, logits)
    with pytest.raises(UserError, match="net has logits for dog that are not finite"):
        load_scores(["net"], params, Project(tmp_path))


def test_the_probe_section_decides_what_a_name_means(tmp_path, params):
    probe_only = msgspec.structs.replace(params, probe={"net": params.probe["frozen"]})
    with pytest.raises(UserError, match=r"probes/net\.h5: no such logits file"):
        load_scores(["net"], probe_only, Project(tmp_path))


@pytest.mark.parametrize(
    ("classes", "assumed", "told"),
    [
        (("cat", "dog"), False, None),
        (("cat", "dog"), True, "net: its weights name no classes; the order of its outputs is assumed"),
        (("x", "y"), False, "net: its weights call their outputs x, y; they are taken to be the data set's"),
        ((), False, None),
    ],
)
def test_outputs_that_are_not_known_to_be_the_classes_are_told(tmp_path, params, classes, assumed, told):
    write_model(tmp_path)
    write_probe(tmp_path)
    made = TrainingResult(model="net", classes=classes, order_assumed=assumed)
    save_record(made, Project(tmp_path).result("training/net"))
    notes = load_scores(["net", "frozen"], params, Project(tmp_path)).notes
    assert len(notes) == bool(told)
    assert not told or notes[0].startswith(told)
