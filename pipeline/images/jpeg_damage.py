"""What a JPEG lacks: libjpeg fills it with grey and reads on, so a decoded picture does not tell."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image

from .budget import UnreadableImage

START, END = b"\xff\xd8", b"\xff\xd9"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF, the beginning of a picture
_ARITHMETIC, _PROGRESSIVE = frozenset(range(0xC9, 0xD0)), frozenset([0xC2, 0xC6, 0xCA, 0xCE])
_SCAN = 0xDA
_NO_PICTURE = frozenset([*range(0xE0, 0xF0), 0xFE])  # APPn, COM
_ALONE = frozenset([0x01, *range(0xD0, 0xD9)])  # markers without a length
_JUNK = 1 / 200  # of a JPEG's bytes; 200 zeroed ones leave less behind, half a file of zeros more
_LEFT_OVER = "a JPEG with bytes left over"


class _Segment(NamedTuple):
    marker: int
    start: int
    data: bytes


def check_jpeg(data: bytes, path: str) -> str:
    """What is doubtful about a JPEG that a decoder reads.

    Its data are read once more for libjpeg's warnings, at an eighth of the size. Only from there it is known
    that data end early, whatever stands behind them, or that restart markers are out of order. libjpeg does
    not warn of scans that are missing; these are counted. An arithmetic code may end anywhere, so nothing is
    known of one that has its end marker.

    Returns
    -------
    str
        '' where nothing is.

    Raises
    ------
    UnreadableImage
        If pixels are lost.
    """
    segments = list(_segments(data))
    told = _first_warning(data, segments)
    left_over = re.search(r"(\d+) extraneous bytes", told)
    if left_over and int(left_over[1]) < _JUNK * len(data) and _ends_where_it_should(data):
        told, doubt = "", _LEFT_OVER
    else:
        doubt = ""
    if told := told or _missing_scans(data, segments):
        raise UnreadableImage(path, f"damaged ({told})")
    return doubt


def lacks_only_its_end(data: bytes) -> bool:
    """Whether a JPEG without an end marker has all its pixels."""
    if any(segment.marker in _ARITHMETIC for segment in _segments(data)):
        return False
    try:
        return check_jpeg(data + END, "") == ""
    except (UnreadableImage, ImportError):  # without simplejpeg, nothing is known of it
        return False


def bits_a_sample(data: bytes) -> int:
    """What the frame says of its depth; 8 where there is none."""
    frame = frame_of(data)[1]
    return frame[2] if len(frame) > 2 else 8


def frame_of(data: bytes) -> tuple[int, bytes]:
    """The marker of the frame, and its header (ITU-T T.81, B.2.2); 0 and nothing where there is none."""
    return next(((s.marker, s.data) for s in _segments(data) if s.marker in _FRAMES), (0, b""))


def _segments(data: bytes) -> Iterator[_Segment]:
    """What stands before the coded data, up to the first scan's header (ITU-T T.81, B.1).

    Filling between markers is passed over.
    """
    at = 2
    while 0 <= (at := data.find(b"\xff", at)) < len(data) - 3:
        marker = data[at + 1]
        if marker in (0x00, 0xFF) or marker in _ALONE:
            at += 1
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        yield _Segment(marker, at, data[at + 2 : end])
        if marker == _SCAN:
            return
        at = end


def _first_warning(data: bytes, segments: list[_Segment]) -> str:
    """The first of libjpeg's warnings about the coded data: it tells no other.

    So what it may warn of beside them (a profile, a version) is left out.
    """
    import simplejpeg

    lean = _lean(data, segments)
    try:
        _, _, space, _ = simplejpeg.decode_jpeg_header(lean)
        # a file that lacks nothing but its end marker is whole
        simplejpeg.decode_jpeg(
            lean + END,
            colorspace="CMYK" if space in ("CMYK", "YCCK") else "GRAY",
            min_height=1, min_width=1, min_factor=8,
        )  # fmt: skip
    except ValueError as error:
        if str(error).startswith(("Corrupt JPEG data", "Premature end", "Inconsistent progression")):
            return str(error)
    return ""


def _lean(data: bytes, segments: list[_Segment]) -> bytes:
    """The same picture without what does not tell its pixels apart."""
    if not segments or segments[-1].marker != _SCAN:
        return data
    *before, scan = segments
    head = [b"\xff" + bytes([s.marker]) + s.data for s in before if s.marker not in _NO_PICTURE]
    end = scan.start + 2 + len(scan.data)
    first = data[scan.start : end]
    if not any(s.marker in _PROGRESSIVE for s in before):
        first = first[:-3] + b"\0\x3f\0"  # what a scan of all coefficients must say, and some do not
    return b"".join([START, *head, first, data[end:]])


def _ends_where_it_should(data: bytes) -> bool:
    """Whether what follows the coded data changes no pixel; of a picture cut short it would."""
    body = data[: max(data.rfind(END), 0)] or data
    pictures = [Image.open(io.BytesIO(body + tail + END)).tobytes() for tail in (bytes(64), b"\xaa" * 64)]
    return pictures[0] == pictures[1]


def _missing_scans(data: bytes, segments: list[_Segment]) -> str:
    """Which parts of the picture no scan brings, of those that come in more than one.

    Of a progressive JPEG every coefficient of every component must have come to its last bit (Al = 0).
    """
    frame = next((s for s in segments if s.marker in _FRAMES), None)
    if frame is None or segments[-1].marker != _SCAN:
        return ""
    components = frame.data[8::3]
    scan, progressive = segments[-1], frame.marker in _PROGRESSIVE
    if not progressive and scan.data[2:3] == bytes([len(components)]):
        return ""
    missing = dict.fromkeys(components, (1 << 64) - 1)  # a bit a coefficient
    for found in re.finditer(rb"\xff\xda", data[scan.start :]):
        at = scan.start + found.start() + 2
        header = data[at : at + int.from_bytes(data[at : at + 2])]
        count = header[2] if len(header) > 2 else 0
        if len(header) < 2 * count + 6:
            continue
        first, last, bits = header[2 * count + 3 : 2 * count + 6]
        brought = (2 << last) - (1 << first) if progressive else (1 << 64) - 1
        for component in header[3 : 3 + 2 * count : 2]:
            if bits & 0x0F == 0 or not progressive:
                missing[component] = missing.get(component, 0) & ~brought
    return "scans are missing" if any(missing.values()) else ""
