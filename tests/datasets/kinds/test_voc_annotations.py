"""Annotations as other tools write them: exact in what decides a label, lenient and told in what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pool5.datasets.kinds.voc_annotations import Annotations
from pool5.datasets.roots import open_tree
from pool5.errors import UserError

BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox>"
CAT = f"<object><name>cat</name><difficult>1</difficult>{BOX}</object>"


@pytest.fixture
def read(tmp_path):
    """Read the text of an annotation: what its objects are, and the remarks."""

    def objects_and_remarks(*texts: str):
        annotations, boxes = Annotations(open_tree(str(tmp_path))), []
        for number, text in enumerate(texts):
            Path(tmp_path, f"{number}.xml").write_text(text, encoding="utf-8")
            boxes += annotations.of(str(number), f"{number}.xml")
        return boxes, annotations.remarks()

    return objects_and_remarks


@pytest.mark.parametrize(
    "text",
    [
        f"<annotation>{CAT}</annotation>",
        f"<Annotation>{CAT.replace('object', 'Object')}</Annotation>",
        f"<annotation>{CAT.replace('difficult', 'Difficult').replace('name', 'NAME')}</annotation>",
        f"<annotation>{CAT.replace('bndbox', 'BndBox').replace('xmin', 'XMin')}</annotation>",
        f"<annotation>{CAT.replace('>1</difficult>', '>True</difficult>')}</annotation>",
        f'<annotation xmlns="http://example.org/voc">{CAT}</annotation>',
        f'<v:annotation xmlns:v="urn:voc">{CAT.replace("<", "<v:").replace("<v:/", "</v:")}</v:annotation>',
        f"<annotation><objects>{CAT}</objects></annotation>",
        f"<annotations><annotation>{CAT}</annotation></annotations>",
        f"<annotation><image>{CAT}</image></annotation>",
        CAT,
    ],
)
def test_an_object_is_found_however_its_tags_are_written(read, text):
    (box,), remarks = read(text)
    assert (box.name, box.difficult, box.corners) == ("cat", True, (1, 2, 9, 8))
    assert not remarks


def test_parts_of_an_object_are_not_objects(read):
    part = f"<part><name>head</name>{BOX}</part>"
    boxes, remarks = read(f"<annotation>{CAT.replace('<bndbox>', part + '<bndbox>', 1)}</annotation>")
    assert ([box.name for box in boxes], remarks) == (["cat"], ())


def test_what_truncated_says_otherwise_is_unknown_counted_and_told_once(read):
    given = ["0.06", "Unspecified", "0.06", "1", "0", ""]
    texts = [
        f"<annotation>{CAT.replace('<bndbox>', f'<truncated>{t}</truncated><bndbox>')}</annotation>"
        for t in given
    ]
    boxes, remarks = read(*texts)
    assert [box.truncated for box in boxes] == [None, None, None, True, False, False]
    assert remarks == (
        "<truncated> is neither 0 nor 1 in 3 objects (0.06: 2, Unspecified: 1); "
        "objects.csv leaves it empty there",
    )


def test_tags_that_are_not_vocs_are_counted_and_told_once(read):
    odd = CAT.replace("difficult>", "dificult>")
    boxes, remarks = read(*[f"<annotation>{odd}<obj><name>dog</name></obj></annotation>"] * 3)
    assert [box.difficult for box in boxes] == [False] * 3
    assert remarks == (
        "the annotations have tags that are not VOC's and are not read: <dificult>: 3, <obj>: 3",
    )


def test_what_voc_and_its_editors_write_is_not_remarked_on(read):
    text = (
        '<annotation verified="yes"><folder>f</folder><filename>f</filename><path>p</path>'
        "<source><database>d</database><annotation>a</annotation><image>i</image></source>"
        "<owner><name>n</name></owner><size><width>9</width></size><segmented>0</segmented>"
        f"{CAT.replace('<bndbox>', '<pose>Left</pose><occluded>0</occluded><point/><actions/><bndbox>')}"
        "</annotation>"
    )
    boxes, remarks = read(text)
    assert ([box.name for box in boxes], remarks) == (["cat"], ())


@pytest.mark.parametrize("value", ["0.5", "Unspecified", "2", "-1"])
def test_difficult_decides_a_label_so_it_must_be_one_of_two(read, value):
    with pytest.raises(UserError, match=r"0\.xml: <difficult> is .*; allowed: 0, 1"):
        read(f"<annotation>{CAT.replace('>1</difficult>', f'>{value}</difficult>')}</annotation>")


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    (tmp_path / "a.xml").mkdir()
    with pytest.raises(UserError, match=r"a\.xml: cannot be read \(Is a directory\)"):
        Annotations(open_tree(str(tmp_path))).of("a", "a.xml")
