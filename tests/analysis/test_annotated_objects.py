import numpy as np

from pool5.analysis.annotated_objects import read_object_statistics
from pool5.datasets.manifest import Manifest


def test_largest_and_number_leave_out_difficult_objects_and_other_splits(tmp_path):
    (tmp_path / "objects.csv").write_text(
        "id,class,difficult,truncated,xmin,ymin,xmax,ymax\n"
        "a,cat,0,0,1,1,10,10\n"  # 100 of 1000 pixels
        "a,cat,0,0,1,1,20,10\n"  # 200 of 1000
        "a,cat,1,0,1,1,50,20\n"  # difficult
        "a,horseshoe,0,0,1,1,5,5\n"  # no class of the data set
        "b,dog,0,1,,,,\n"  # no box
        "z,cat,0,0,1,1,5,5\n"  # another split
    )
    manifest = Manifest(
        split="test",
        classes=("cat", "dog"),
        ids=np.array(["b", "a", "c"]),
        paths=np.array(["b.jpg", "a.jpg", "c.jpg"]),
        digests=np.zeros((3, 16), np.uint8),
        sizes=np.array([[10, 10], [50, 20], [8, 8]], np.int32),
        labels=np.ones((3, 2), np.int8),
    )
    found = read_object_statistics(tmp_path / "objects.csv", manifest, np.array(["a", "b", "c"]))
    np.testing.assert_array_equal(found["cat"].number, [2, 0, 0])
    np.testing.assert_allclose(found["cat"].largest, [0.2, np.nan, np.nan])
    np.testing.assert_array_equal(found["dog"].number, [0, 1, 0])
    assert np.isnan(found["dog"].largest).all()

    (tmp_path / "objects.csv").write_text("id,class,difficult,truncated,xmin,ymin,xmax,ymax\n")
    assert read_object_statistics(tmp_path / "objects.csv", manifest, manifest.ids) == {}
