from __future__ import annotations

import pytest

from pool5.extract.row_size import told_if_large


@pytest.mark.parametrize(("width", "dtype"), [(16_384, "float32"), (32_768, "float16")])
def test_a_row_above_64_kib_is_told(width: int, dtype: str) -> None:
    assert told_if_large("a", width, dtype) is None
    size = "65.5 kB an image, 655.4 MB for 10,000 images; pool makes it a vector"
    assert told_if_large("a", width + 1, dtype) == f"a: {width + 1} values of {dtype} take {size}"
