"""`pool5 forget`: take images out of everything that is kept between runs."""

from __future__ import annotations

import dataclasses
import mmap
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import UserError
from ..files.hints import counted, did_you_mean, some_of
from ..project import Project

if TYPE_CHECKING:
    import numpy as np

    from ..datasets.manifest import Manifest
    from ..images.address import Address


_CANDIDATES = 20_000  # ids that a mistyped one is compared with


@dataclasses.dataclass(frozen=True)
class _Image:
    """An image to forget, or an object on one: where it is listed, and its digest."""

    digest: bytes
    id: str = ""  # '' where it is known by its bytes alone
    address: Address | None = None


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--split", help="Only the image of this split, where two splits have one of that ID.")
@click.option(
    "--image", "files", multiple=True, type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="An image by its file, for one that is in no manifest any more.",
)  # fmt: skip
@click.option("--digest", "digests", multiple=True, metavar="HEX", help="An image by its digest.")
@click.option("--all-ids", is_flag=True, help="Also where the same bytes have other ids too.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def forget(
    ids: tuple[str, ...],
    split: str | None,
    files: tuple[Path, ...],
    digests: tuple[str, ...],
    all_ids: bool,
    dry_run: bool,
) -> None:
    """Remove the rows of images from the row cache, of every layer and model, and what else keeps them.

    ID is an image's in data/manifest; all objects on it belong to it. Remove the image from the data set too,
    and run `dvc repro`: then data and reports know it no more. Not while an extraction is running.
    """
    import numpy as np

    from ..params import load_params
    from ..store.forget import forget_rows

    project = Project()
    params = load_params(project.params)
    manifests = _manifests(project)
    root = project.images(params.dataset.root)
    images = [image for name in ids for image in _of_id(manifests, name, split, root)]
    images += [_Image(_digest_of_file(file)) for file in files]
    images += [_Image(_parsed(text)) for text in digests]
    if not images:
        raise click.UsageError("which image? Give an ID, --image FILE or --digest HEX.")
    if not all_ids:
        _refuse_shared(manifests, images)
    gone = np.frombuffer(b"".join(image.digest for image in images), np.uint8).reshape(-1, 16)
    cache = project.row_cache(params.extract.cache)
    forgotten = forget_rows(cache, gone, dry_run=dry_run)
    would = "would remove" if dry_run else "removed"
    layers = counted(len(forgotten.keys), "layer")
    click.echo(f"{would} {counted(forgotten.rows, 'row')} of {layers}, {forgotten.size} bytes, from {cache}")
    if forgotten.damaged:
        click.echo(f"{would} {counted(forgotten.damaged, 'damaged shard')} from {cache}")
    for what in _forget_beside(project, gone, [image.id for image in images], dry_run):
        click.echo(f"{would} {what}")
    for line in _left_to_do(project, images, params.extract.read_also):
        click.echo(line)


def _manifests(project: Project) -> list[Manifest]:
    from ..datasets.manifest import read_manifest

    paths = sorted(project.manifests.glob("*.csv")) if project.manifests.is_dir() else []
    return [read_manifest(path) for path in paths if path not in (project.objects, project.looks)]


def _of_id(manifests: Sequence[Manifest], name: str, split: str | None, root: str) -> list[_Image]:
    """The image of an id, and the objects on it, in each split."""
    import numpy as np

    from ..datasets.manifest import image_addresses

    asked = [manifest for manifest in manifests if split in (None, manifest.split)]
    found = []
    for manifest in asked:
        named = zip(manifest.ids.tolist(), manifest.paths.tolist(), strict=True)
        rows = [row for row, (other, path) in enumerate(named) if _is_of(other, path, name)]
        part = manifest.take(np.array(rows, np.int64))
        places = image_addresses(part, root).items()
        found += [
            _Image(digest.tobytes(), *place) for digest, place in zip(part.digests, places, strict=True)
        ]
    if not found:
        known = [other for manifest in asked for other in manifest.ids.tolist()]
        raise UserError(
            f"{name}: no image of that id in {', '.join(m.split for m in asked) or 'any manifest'}"
            f"{did_you_mean(name, known[:_CANDIDATES])}; one that is gone is known by --image FILE or "
            "--digest HEX"
        )
    return found + list(_whole_files(found))


def _is_of(other: str, path: str, name: str) -> bool:
    """Whether an id is this name, or that of an object on the image of this name."""
    return other == name or (other.rpartition("#")[0] == name and "#xywh=" in path)


def _whole_files(images: Sequence[_Image]) -> Iterator[_Image]:
    """The files that objects are on, which have a digest of their own."""
    from ..images.budget import UnreadableImage
    from ..images.image_bytes import digest_of, read_bytes

    for address in {image.address for image in images if image.address and image.address.crop}:
        whole = dataclasses.replace(address, crop=None)
        try:
            yield _Image(digest_of(read_bytes(whole), whole))
        except UnreadableImage:  # it is gone, and what is known of it with the next run
            continue


def _digest_of_file(file: Path) -> bytes:
    from ..images.address import Address
    from ..images.image_bytes import digest_of, read_bytes

    return digest_of(read_bytes(file), Address(str(file)))


def _parsed(text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-fA-F]{32}", text):
        raise UserError(f"--digest: {text} is none; it has 32 hexadecimal digits, as in data/manifest")
    return bytes.fromhex(text)


def _refuse_shared(manifests: Sequence[Manifest], images: Sequence[_Image]) -> None:
    named = {image.id for image in images}
    for image in filter(lambda image: image.id, images):
        others = [
            f"{other} ({manifest.split})"
            for manifest in manifests
            for other in manifest.ids[(manifest.digests == _array(image.digest)).all(1)].tolist()
            if other not in named
        ]
        if others:
            raise UserError(
                f"{image.id}: the same bytes are {some_of(others, 5)}, whose rows are these; name "
                f"{'it' if len(others) == 1 else 'them'} too, or say --all-ids"
            )


def _array(digest: bytes) -> np.ndarray:
    import numpy as np

    return np.frombuffer(digest, np.uint8)


def _forget_beside(project: Project, gone: np.ndarray, ids: Sequence[str], dry_run: bool) -> Iterator[str]:
    """Remove what the other caches keep; says what."""
    from ..store.unit_cache import unit_usage

    units, size = unit_usage(project.unit_cache)
    if units:  # vectors, graphs and maps of whole layers, the image's among them
        yield f"{counted(units, 'unit')}, {size} bytes, from {project.unit_cache}"
    if project.checkpoints.is_dir() and any(project.checkpoints.iterdir()):
        yield f"the states of trainings that were interrupted from {project.checkpoints}"
    aside = [path for path in _files_in(project.aside) if _holds(path, gone)]
    if aside:
        yield f"{counted(len(aside), 'file')} from {project.aside}"
    if dry_run:
        return
    from ..datasets.kinds.known_shards import forget_samples
    from ..datasets.known_images import forget_images

    for folder in (project.unit_cache, project.checkpoints):
        shutil.rmtree(folder, ignore_errors=True)
    for path in aside:
        path.unlink()
    forget_images(project.known_images, gone)
    forget_samples(project.known_shards, [name for name in ids if name])


def _files_in(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _holds(path: Path, digests: np.ndarray) -> bool:
    """Whether a file names one of these images, by its digest."""
    if not path.stat().st_size:
        return False
    names = [digest.tobytes() for digest in digests]
    names += [name.hex().encode() for name in names]
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return any(data.find(name) >= 0 for name in names)


def _left_to_do(project: Project, images: Sequence[_Image], read_also: Sequence[str]) -> Iterator[str]:
    """What the command does not do itself, a line each."""
    from ..files.remote import is_remote

    there = dict.fromkeys(
        str(dataclasses.replace(image.address, crop=None))
        for image in images
        if image.address and (is_remote(image.address.file) or Path(image.address.file).exists())
    )
    if there:
        yield (
            f"still in the data set, so `dvc repro` computes it again; remove {some_of(list(there), 5)}, and "
            "the line of a table, list or JSON that names it"
        )
    yield "run `dvc repro`: until then data and reports have it"
    yield "older outputs are in DVC's cache: `dvc gc --workspace`, with --cloud for a remote"
    if project.exports.is_dir():
        yield f"what was exported is as it was: {project.exports}"
    for other in read_also:
        yield f"{other} is only read (extract.read_also): run `pool5 forget` where it is written"
