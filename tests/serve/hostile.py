"""Requests that nobody means well with: more than five hundred, the same at every run."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from urllib.parse import quote

import numpy as np
from PIL import Image, features

LAYER = "?model=net&layer=pooled"
_SEED = 0
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF", "JPEG2000")
_SCRIPT = b"<!DOCTYPE html><html><script>alert(1)</script></html>"


@dataclasses.dataclass(frozen=True)
class Case:
    """A request that is well-formed as HTTP."""

    name: str
    body: bytes | None = None
    type: str = "application/octet-stream"
    method: str = "POST"
    target: str = f"/api/neighbors{LAYER}&k=2"
    headers: tuple[tuple[str, str], ...] = ()


def cases() -> list[Case]:
    return [*images(), *bombs(), *json_bodies(), *other_bodies(), *questions(), *paths(), *headers()]


def picture(kind: str = "PNG", size: tuple[int, int] = (80, 72), seed: int = _SEED) -> bytes:
    """A sound image file."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def large_png(width: int, height: int, bits: int = 1) -> bytes:
    """A sound PNG of zeros, grey: a thousandth of what it becomes."""
    squeeze = zlib.compressobj(1)
    row = bytes(1 + -(-width * bits // 8))
    rows = max(1, (1 << 20) // len(row))
    packed = b"".join(squeeze.compress(row * min(rows, height - at)) for at in range(0, height, rows))
    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return png(("IHDR", head), ("IDAT", packed + squeeze.flush()), ("IEND", b""))


def png(*chunks: tuple[str, bytes]) -> bytes:
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, data in chunks:
        named = name.encode() + data
        parts.append(struct.pack(">I", len(data)) + named + struct.pack(">I", zlib.crc32(named)))
    return b"".join(parts)


def images() -> Iterator[Case]:
    """Cut, with bits turned, with something behind, and under a false name; of each kind."""
    kinds = [kind for kind in _FORMATS if kind != "AVIF" or features.check("avif")]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as pack:
        pack.writestr("../../run.sh", "rm -rf /")
    for kind in kinds:
        sound = picture(kind)
        rng = np.random.default_rng([_SEED, len(sound)])
        for at in [1, 3, 8, 16, 40, *(len(sound) * np.arange(1, 8) // 8).tolist(), len(sound) - 1]:
            yield Case(f"{kind} cut at {at}", sound[:at], f"image/{kind.lower()}")
        for number in range(12):
            turned = bytearray(sound)
            where = rng.integers(0, min(len(sound), 64) if number < 6 else len(sound), 1 + number)
            for at in where.tolist():
                turned[at] ^= 1 << int(rng.integers(0, 8))
            yield Case(f"{kind} with bits turned, {number}", bytes(turned))
        yield Case(f"{kind} and a zip file", sound + archive.getvalue(), "image/png")
        yield Case(f"{kind} and a page", sound + _SCRIPT, "image/jpeg")
        yield Case(f"a page and {kind}", _SCRIPT + sound, "image/webp")
        yield Case(f"{kind} said to be JSON", sound, "application/json")


def bombs() -> Iterator[Case]:
    """Small files that become large."""
    text = zlib.compress(bytes(1 << 26), 1)
    one = ("IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)), ("IDAT", zlib.compress(b"\0\0"))
    yield Case("PNG of 3.6 gigapixels", large_png(60_000, 60_000))
    row = (
        ("IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 1, 1, 0, 0, 0, 0)),
        ("IDAT", zlib.compress(bytes(1 << 20))),
    )
    yield Case("PNG of one row of 2**31 - 1", png(*row, ("IEND", b"")))
    yield Case("PNG with a compressed text", png(*one, ("zTXt", b"Comment\0\0" + text), ("IEND", b"")))
    yield Case(
        "PNG with such a text before", png(one[0], ("iTXt", b"C\0\1\0\0\0" + text), one[1], ("IEND", b""))
    )
    yield Case("PNG with such a profile", png(one[0], ("iCCP", b"p\0\0" + text), one[1], ("IEND", b"")))
    yield Case("PNG of 20,000 empty chunks", png(*one, *[("teXt", b"")] * 20_000, ("IEND", b"")))
    yield Case("PNG with more data than its size", png(one[0], ("IDAT", text), ("IEND", b"")))
    frames = [Image.new("L", (1, 1), number % 255) for number in range(400)]
    for kind in ("GIF", "PNG", "TIFF", "WEBP"):
        file = io.BytesIO()
        frames[0].save(file, kind, save_all=True, append_images=frames[1:])
        yield Case(f"{kind} of 400 frames", file.getvalue())
    yield Case("GIF of 65,535 squared", b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08\0;")
    yield Case("BMP of 2**31 - 1 squared", b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40,
               2**31 - 1, 2**31 - 1, 1, 24, 0, 0, 0, 0, 0, 0))  # fmt: skip
    yield Case("PPM of 99,999,999 squared", b"P6\n99999999 99999999\n255\n")
    yield Case("PPM with a number of a million digits", b"P6\n" + b"9" * 1_000_000 + b" 1\n255\n")
    jpeg = bytearray(picture("JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = b"\xff\xdc\xff\xdc"
    yield Case("JPEG of 65,500 squared", bytes(jpeg))
    yield Case("JPEG of 10,000 scans", _scans(10_000))
    yield Case("TIFF of 2**32 - 1 squared", _tiff({256: 2**32 - 1, 257: 2**32 - 1, 258: 8, 259: 1, 262: 1,
                                                   273: 8, 277: 1, 278: 1, 279: 1}))  # fmt: skip
    yield Case("TIFF whose next page is itself", _tiff({256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8,
                                                        277: 1, 278: 1, 279: 1}, again=8))  # fmt: skip
    jp2 = bytearray(picture("JPEG2000"))
    size = jp2.index(b"\xff\x51")
    jp2[size + 6 : size + 14] = struct.pack(">II", 2**31, 2**31)
    yield Case("JPEG 2000 of 2**31 squared", bytes(jp2))
    webp = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + b"\xff\xff\xff\xff\xff\xff"
    yield Case("WebP of 2**24 squared", b"RIFF" + struct.pack("<I", len(webp) + 4) + b"WEBP" + webp)
    squeezed = gzip.compress(bytes(1 << 26), 1)
    yield Case("gzip of 64 MB", squeezed)
    for coding in ("gzip", "deflate", "br", "zstd", "gzip, gzip", "identity"):
        yield Case(f"{coding} as coding", squeezed, headers=(("Content-Encoding", coding),))
    packed = gzip.compress(b'{"id": "' + bytes(1 << 26), 1)
    yield Case("JSON in gzip", packed, "application/json", headers=(("Content-Encoding", "gzip"),))
    for kind in ("EPS", "PDF", "ICO", "TGA", "PCX", "SGI", "ICNS", "MPO", "DDS", "IM", "MSP", "SPIDER"):
        file, grey = io.BytesIO(), Image.new("1" if kind == "MSP" else "L", (64, 64))
        (grey.convert("F") if kind == "SPIDER" else grey).save(file, kind)
        yield Case(f"{kind}, which is not read", file.getvalue(), f"image/{kind.lower()}")
    yield Case(
        "EPS with a program", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n"
    )
    doctype = b'<!DOCTYPE s [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    yield Case("SVG that includes a file", doctype + b"<svg><text>&e;</text></svg>", "image/svg+xml")
    laughs = b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(20))
    yield Case("XML that laughs", b"<!DOCTYPE l [" + laughs + b"]><l>&u;</l>", "application/xml")


def json_bodies() -> Iterator[Case]:
    asked = {"model": "net", "layer": "pooled", "id": ["000003"], "k": 2}
    texts = {
        "nothing": b"",
        "a space": b" ",
        "null": b"null",
        "a number": b"7",
        "a text": b'"000003"',
        "a list": b"[]",
        "an empty object": b"{}",
        "no end": b'{"model": "net", "layer": ',
        "an end too many": b'{"id": "000003"}}',
        "NaN": b"NaN",
        "100,000 lists deep": b"[" * 100_000,
        "100,000 lists deep and back": b"[" * 100_000 + b"]" * 100_000,
        "100,000 objects deep": b'{"id":' * 100_000,
        "a field 900 lists deep": b'{"id":' + b"[" * 900 + b"]" * 900 + b"}",
        "UTF-16": json.dumps(asked).encode("utf-16"),
        "UTF-32": json.dumps(asked).encode("utf-32-be"),
        "a byte order mark": b"\xef\xbb\xbf" + json.dumps(asked).encode(),
        "bytes that are no UTF-8": b'{"model": "net", "layer": "pooled", "text": "\xff\xfe\xc3"}',
        "an overlong slash": b'{"model": "net", "layer": "pooled", "id": "\xc0\xaf"}',
        "half of a pair": b'{"model": "net", "layer": "pooled", "id": "\\ud800"}',
        "half of a pair as text": b'{"model": "net", "layer": "pooled", "text": "\\udfff"}',
        "half of a pair as class": b'{"model": "net", "layer": "pooled", "id": "000003", "class": "\\ud800"}',
        "half of a pair as layer": b'{"model": "net", "layer": "\\ud800", "id": "000003"}',
        "half of a pair as field": b'{"\\ud800": 1}',
        "a zero in an id": b'{"model": "net", "layer": "pooled", "id": "000003\\u0000.png"}',
        "one field twice": b'{"model": "net", "layer": "pooled", "id": "000003", "k": 2, "k": 10000000000}',
        "a number of 100,000 digits": b'{"model": "net", "layer": "pooled", "id": "000003", "k": '
        + b"9" * 100_000
        + b"}",
        "a power of 10": b'{"model": "net", "layer": "pooled", "id": "000003", "k": 1e999}',
        "two bodies": json.dumps(asked).encode() * 2,
        "a thousand fields": json.dumps(asked | {f"f{n}": n for n in range(1000)}).encode(),
        "prototype": json.dumps(asked | {"__proto__": {"k": 9}, "constructor": {}}).encode(),
    }
    for name, body in texts.items():
        yield Case(f"JSON: {name}", body, "application/json", target="/api/neighbors")
    wrong = [
        None,
        True,
        -1,
        0,
        1.5,
        10**30,
        "",
        "4",
        " 3",
        [],
        [[]],
        [None],
        {},
        {"a": 1},
        "ä",
        "../test",
        "\0",
    ]
    for field in ("model", "layer", "id", "k", "class", "split", "metric", "text", "minus", "vector"):
        for value in wrong:
            body = json.dumps(asked | {field: value}).encode()
            yield Case(f"JSON: {field} is {value!r:.30}", body, "application/json", target="/api/neighbors")
    width = 576
    vectors = {
        "NaN": [float("nan")] * width,
        "infinite": [float("inf")] * width,
        "of zeros": [0] * width,
        "of the largest": [1.7e308] * width,
        "of the least": [5e-324] * width,
        "too short": [1.0] * (width - 1),
        "too long": [1.0] * (width + 1),
        "of a million": [0.5] * 1_000_000,
        "of texts": ["1"] * width,
        "of truths": [True] * width,
        "of lists": [[1.0] * 2] * width,
        "of nulls": [None] * width,
        "of large integers": [10**400] * width,
        "of objects": [{}] * width,
    }
    plain = {"model": "net", "layer": "pooled"}
    for name, vector in vectors.items():
        body = json.dumps(plain | {"vector": vector}).encode()
        yield Case(f"JSON: a vector {name}", body, "application/json", target="/api/neighbors")
    many = {
        "100,000 ids": {"id": ["000003"] * 100_000},
        "100,000 ids that are not there": {"id": [f"x{n}" for n in range(100_000)]},
        "10,000 texts": {"text": ["dog"] * 10_000},
        "10,000 to take away": {"id": "000003", "minus": [f"w{n}" for n in range(10_000)]},
        "100,000 classes": {"id": "000003", "class": ["cat"] * 100_000},
        "a text of a million": {"text": "a" * 1_000_000},
        "an id of a million": {"id": "a" * 1_000_000},
        "a class of a million": {"id": "000003", "class": "c" * 1_000_000},
        "a layer of a million": {"id": "000003", "layer": "l" * 1_000_000},
        "what takes itself away": {"id": "000003", "minus": "000003"},
    }
    for name, fields in many.items():
        yield Case(
            f"JSON: {name}", json.dumps(plain | fields).encode(), "application/json", target="/api/neighbors"
        )


def other_bodies() -> Iterator[Case]:
    """Bodies of kinds that are not taken."""
    form = b'--b\r\nContent-Disposition: form-data; name="f"; filename="../../x.png"\r\n\r\n'
    yield Case("a form", form + picture() + b"\r\n--b--", "multipart/form-data; boundary=b")
    yield Case(
        "a form of 20,000 parts", (form + b"\r\n") * 20_000 + b"--b--", "multipart/form-data; boundary=b"
    )
    yield Case("a form without boundary", form, "multipart/form-data")
    yield Case("fields of a form", b"a=1&" * 100_000, "application/x-www-form-urlencoded")
    # fmt: off
    kinds = (
        "", "text/plain", "text/html", "application/xml", "application/x-python-pickle", "a/b/c", "image",
        "image/",
        "*/*", "application/json; charset=utf-7", "\u00e4", "image/png" + ";" * 5000,
        "application/problem+json",
        "x" * 7000,
    )
    # fmt: on
    for kind in kinds:
        yield Case(f"the type {kind[:20]!r}", b'{"id": "000003"}', kind)
    yield Case("a pickle", b"cos\nsystem\n(S'touch /tmp/pickled'\ntR.")
    yield Case("HDF5", b"\x89HDF\r\n\x1a\n" + bytes(4096))
    yield Case("NumPy's pickle", b"\x93NUMPY\x01\0v\0{'descr': '|O', 'fortran_order': False, 'shape': (1,)}")
    rng = np.random.default_rng(_SEED)
    for number in range(20):
        yield Case(f"noise {number}", rng.bytes(1 << number))


def questions() -> Iterator[Case]:
    """In the query string."""
    # fmt: off
    ways = {
        "k": ["0", "-1", "1e3", "1.5", "%D9%A3", "0x10", "1_0", "%202", "9" * 5000, "NaN", "", "null",
              "2&k=3", "9" * 8],
        "id": ["", "x", "../../../etc/passwd", "%00", "%ff", "%c0%ae", "a" * 9000, "%0d%0aSet-Cookie:a",
               "000003%20",
               "<script>", "'--", "${jndi:ldap://x}", "{{7*7}}", "%F0%9F%98%80", "%ED%A0%80", "*",
               "000003&id=9"],
        "class": ["", "nothing", "cat,dog", "%00", "CAT", "<b>", "%ED%A0%80", "c" * 9000],
        "split": ["", "..", "../test", "/etc/passwd", "test.h5", "test%00", "TEST", "*", "test/",
                  "%2e%2e%2ftest"],
        "metric": ["", "euclid", "COSINE", "__class__", "%00", "l2&metric=ip"],
        "layer": ["", "..", "../pooled", "pooled/", "pooled/x", "%2e%2e", "__init__", "l" * 9000],
        "model": ["", "..", "../net", "/", "net/", "%00", "net%2Fpooled", "n" * 9000, "."],
        "text": ["", "dog", "%00", "t" * 9000, "%F0%9F%98%80", "%ff"],
        "minus": ["", "000003", "/etc/passwd", "../params.yaml", "%00", "params.yaml"],
    }
    of_layer = [
        "", "?", "?&&&&", "?=", "?%", "?model=net", "?layer=pooled", LAYER, "?" + "a=1&" * 10_000,
        LAYER + "&id=000003" * 3000, LAYER + "&id=000003" + "&class=dog" * 3000,
        LAYER + "&id=000003&unknown=1",
    ]
    of_images = [
        "limit=0", "limit=-1", "limit=" + "9" * 20, "offset=-1", "offset=" + "9" * 20, "limit=x",
        "prefix=%00",
        "prefix=../", "class=nothing", "split=../test", "prefix=" + "p" * 9000, "offset=1e9",
        "prefix=%ED%A0%80",
    ]
    of_page = [
        "id=" + quote("<script>alert(1)</script>"), "text=%00", "of=../..", "of=net/pooled&of=x/y", "k=1e9",
        "id=" + quote('"><img src=x onerror=alert(1)>'), "split=..", "map=../x", "of=" + "net/pooled" * 500,
        "minus=/etc/passwd&id=000003", "class=%ff", "k=" + "9" * 5000, "id=000003" + "&of=net/pooled" * 600,
    ]
    # fmt: on
    for field, values in ways.items():
        for value in values:
            asked = {"model": "net", "layer": "pooled", "id": "000003", "k": "2", field: value}
            query = "&".join(f"{name}={said}" for name, said in asked.items())
            yield Case(f"?{field}={value[:20]}", method="GET", target=f"/api/neighbors?{query}")
    for query in of_layer:
        yield Case(f"the question {query[:40]!r}", method="GET", target=f"/api/neighbors{query}")
    for query in of_images:
        yield Case(f"images?{query[:30]}", method="GET", target=f"/api/images?{query}")
    for query in of_page:
        yield Case(f"the page?{query[:30]}", method="GET", target=f"/?{query}")


def paths() -> Iterator[Case]:
    """Ways out of where things lie."""
    # fmt: off
    out = [
        "../params.yaml", "../../params.yaml", "..%2f..%2fparams.yaml", "%2e%2e/%2e%2e/params.yaml",
        "....//x",
        "..\\..\\params.yaml", "%5c..%5cparams.yaml", "/etc/passwd", "%2Fetc%2Fpasswd", "//etc/passwd",
        "~/.ssh/id",
        "file:///etc/passwd", "000003%00.png", "%c0%ae%c0%ae/params.yaml", "%252e%252e/params.yaml", ".",
        "..",
        "000003.png", "data/raw/toy/000003.png", "C:%5cboot.ini", "%ff", "%ED%A0%80", "a" * 9000, "a/" * 4000,
        "CON", "000003/", "000003/../000003", "*", "000003;x", "%0d%0aX:%20y", "{}", "$HOME",
        "net/pooled/../../ap",
    ]
    # fmt: on
    for place in ("/api/images/", "/api/results/", "/api/map/", "/api/map/net/", "/static/", "/"):
        for way in out:
            yield Case(f"{place}{way[:30]}", method="GET", target=place + way)
    for size in ("0", "-1", "1e9", "9" * 20, "x", "", "NaN", "1.5", "9" * 5000):
        yield Case(f"thumb?size={size[:30]}", method="GET", target=f"/api/images/000003/thumb?size={size}")
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get", "X" * 500):
        for target in ("/api/neighbors", "/api/images/000003", "/", "*"):
            yield Case(f"{method[:9]} {target}", method=method, target=target)
    for method in ("tsne", "pca", "../tsne", "%00", "m" * 9000):
        yield Case(f"map?method={method[:9]}", method="GET", target=f"/api/map/net/pooled?method={method}")


def headers() -> Iterator[Case]:
    """What stands in the head."""
    asked = f"/api/neighbors{LAYER}&id=000003&k=2"
    ways = {
        "If-None-Match": [
            "*",
            '"',
            '"' * 5000,
            "W/" * 3000,
            '"a", ' * 1500,
            "\u00e4",
            "",
        ],
        "If-Modified-Since": ["now", "Thu, 01 Jan 1970 00:00:00 GMT", "9" * 5000],
        "Accept": [
            "*/*;q=" + "9" * 3000,
            "a/b," * 1500,
            "application/json;q=NaN",
            "text/html",
            "x",
            "",
            ",,,;;=",
        ],
        "Accept-Encoding": ["gzip;q=-1", "br," * 1500, "*"],
        "Accept-Language": ["en;q=" + "1" * 3000],
        "Cookie": ["a=1; " * 1200, "=", "session=../../x"],
        "Authorization": ["Basic Og==", "Bearer", "Bearer " + "t" * 5000, "Digest", "Bearer \xff", ""],
        "X-Forwarded-For": ["127.0.0.1", "a" * 5000],
        "X-Forwarded-Host": ["evil.example"],
        "X-HTTP-Method-Override": ["DELETE"],
        "Expect": ["100-continue", "200-ok"],
        "Upgrade": ["websocket", "h2c"],
        "Connection": ["close", "keep-alive, " * 900, "Upgrade"],
        "Origin": ["https://evil.example", "null"],
        "Referer": ["https://evil.example/" + "r" * 5000],
        "User-Agent": ["() { :;}; touch /tmp/shocked", ""],
    }
    for name, values in ways.items():
        for value in values:
            yield Case(f"{name}: {value[:20]}", method="GET", target=asked, headers=((name, value),))
    # fmt: off
    ranges = [
        "bytes=0-", "bytes=-1", "bytes=9-1", "bytes=" + ",".join(["0-"] * 1500), "bytes=0-0,2-2", "x",
        "bytes=" + "9" * 3000 + "-", "bytes=0-" + "9" * 3000, "bytes=" + "-" * 3000,
        "bytes=" + ",".join(f"{n}-{n}" for n in range(1200)),
    ]
    # fmt: on
    for value in ranges:
        yield Case(
            f"Range: {value[:20]}", method="GET", target="/api/images/000003", headers=(("Range", value),)
        )


def _scans(count: int) -> bytes:
    """A progressive JPEG whose first scan stands there many times."""
    file = io.BytesIO()
    Image.new("L", (512, 512)).save(file, "JPEG", progressive=True)
    sound = file.getvalue()
    first = sound.index(b"\xff\xda")
    second = sound.index(b"\xff", first + 2)
    return sound[:first] + sound[first:second] * count + sound[second:]


def _tiff(tags: dict[int, int], again: int = 0) -> bytes:
    """A TIFF of one directory; `again` is where the next is said to be."""
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", again)


def malformed(host: str) -> Iterator[tuple[str, bytes]]:
    """What is no HTTP, or nearly: (what it is, the bytes)."""
    head = f"GET /api/store HTTP/1.1\r\nHost: {host}\r\n".encode()
    post = f"POST /api/neighbors{LAYER} HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/png\r\n".encode()
    yield "nothing", b""
    yield "a line end", b"\r\n"
    yield "noise", np.random.default_rng(_SEED).bytes(4096)
    yield "zeros", bytes(100_000)
    yield "TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
    yield "HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)
    yield "HTTP/0.9", b"GET /\r\n"
    yield "HTTP/1.0 without Host", b"GET /api/store HTTP/1.0\r\n\r\n"
    yield "HTTP/9.9", head.replace(b"1.1", b"9.9") + b"\r\n"
    yield "no Host", b"GET /api/store HTTP/1.1\r\n\r\n"
    yield "two Hosts", head + b"Host: evil.example\r\n\r\n"
    yield "an endless line", b"GET /" + b"a" * (1 << 20)
    yield "an endless head", head + b"X: " + b"a" * (1 << 20)
    yield "20,000 headers", head + b"".join(b"X%d: a\r\n" % n for n in range(20_000)) + b"\r\n"
    yield "a header of two lines", head + b"X: a\r\n b\r\n\r\n"
    yield "a header without colon", head + b"nothing\r\n\r\n"
    yield "a header without name", head + b": a\r\n\r\n"
    yield "a header with a space before its colon", head + b"X : a\r\n\r\n"
    yield "a zero in a header", head + b"X: a\0b\r\n\r\n"
    yield "a zero in the path", b"GET /a\0b HTTP/1.1\r\nHost: h\r\n\r\n"
    yield "bytes above 127 in the path", f"GET /\xff\xfe HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1")
    yield "a whole address", f"GET http://evil.example/api/store HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    yield "CONNECT", f"CONNECT evil.example:443 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    yield "line ends of one byte", head.replace(b"\r\n", b"\n") + b"\n"
    for coding in (b"gzip", b"identity", b"chunked, chunked", b"x"):
        yield f"{coding.decode()} as transfer coding", head + b"Transfer-Encoding: " + coding + b"\r\n\r\n"
    yield "a length that is none", post + b"Content-Length: ten\r\n\r\nabc"
    yield "a length below zero", post + b"Content-Length: -1\r\n\r\nabc"
    yield "a length of many digits", post + b"Content-Length: " + b"9" * 400 + b"\r\n\r\nabc"
    yield "two lengths", post + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"
    yield "a body that ends before", post + b"Content-Length: 1000\r\n\r\nabc"
    yield (
        "a length and chunks",
        post + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / ",
    )
    yield "chunks whose size is none", post + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n"
    yield "a chunk of 2**64", post + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc\r\n0\r\n\r\n"
    yield "a chunk's endless extension", post + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * (1 << 20)
    yield (
        "100,000 small chunks",
        post + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 100_000 + b"0\r\n\r\n",
    )
    yield "an endless trailer", post + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * (1 << 20)
    yield "2000 questions at once", (head + b"\r\n") * 2000
    yield "a question and another in its body", post + b"Content-Length: 0\r\n\r\n" + head + b"\r\n"
    key = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    yield "a socket of the web", head + b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + key
