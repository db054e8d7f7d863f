"""`pool5 query`: what is near this image?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from ..errors import UserError
from ..files.csv_file import joined
from ..params import Params, load_params
from ..project import Project
from ..questions.embedder import InProcess
from ..questions.question import Question, Term, terms_of
from ..questions.subjects import embed_files, stored_image
from ..search.searcher import Neighbors, Searcher
from ..store.feature_file import FeatureFile
from ..store.open_layer import features_path
from .upkeep import writer_of

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--image", type=_PATH, help="Ask with an image file instead of an id.")
@click.option(
    "--text", "texts", multiple=True, help="Ask in words a model that has a text tower; repeatable."
)
@click.option("--minus", multiple=True, help="Take away an id, an image file or a text; repeatable.")
@click.option("--model", required=True, help="A model or a derived layer of params.yaml.")
@click.option("--layer", required=True, help="One of its layers; of a derived one, that it is of.")
@click.option("-k", default=4, show_default=True, help="How many neighbors.")
@click.option("--split", help="Search this split.  [default: dataset.test of params.yaml]")
@click.option(
    "--class", "classes", multiple=True, help="Only images of this class; repeat for any of several."
)
@click.option(
    "--metric", type=click.Choice(["cosine", "l2", "ip"]), help="[default: params.yaml's index.metric]"
)
@click.option("--approximate", is_flag=True, help="Search through the index instead of every row.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--sheet", type=_PATH, help="Draw the answer to this .png or .svg file.")
def query(
    ids: tuple[str, ...],
    image: Path | None,
    texts: tuple[str, ...],
    minus: tuple[str, ...],
    model: str,
    layer: str,
    k: int,
    split: str | None,
    classes: tuple[str, ...],
    metric: str | None,
    approximate: bool,
    as_json: bool,
    sheet: Path | None,
) -> None:
    """Find the images nearest to ID, or to each of several; or to an image file, or to words.

    An image is never its own neighbor; its duplicates are, at distance 0. An ID that the searched split does
    not have is looked for in the model's other splits. With one ID, --json prints the list of its neighbors;
    with several, a list of {query, neighbors}.

    With --text or --minus, or both ID and --image, all that is given makes up one question: each is brought
    to length one, and the question is the sum of what is given less what --minus takes away. A --minus that
    is an id of the data set is that image; else, if there is such a file, the image in it; else a text. What
    each was taken for is told on stderr. Texts are compared with a layer of node `image` of an open_clip
    model. An image that takes part is not found.
    """
    if not (ids or image or texts):
        raise UserError("give the ids of images, --image FILE or --text WORDS")
    if sheet is not None and sheet.suffix not in {".png", ".svg"}:
        raise UserError(f"--sheet {sheet}: not a .png or .svg file; choose one of these endings")
    project = Project()
    params = load_params(project.params)
    searcher = _open(project, params, model, layer, split, metric, approximate)
    names = [str(image)] if image is not None else list(ids)
    labels: list[tuple[str, ...]] = [()]
    splits: list[str | None] = [None]
    words: str | None = None
    if texts or minus or (ids and image is not None):
        question = _question(ids, image, texts, minus, searcher)
        vector = question.vector(searcher.features, layer, InProcess(params, project))
        answers = searcher.query(vector, k, classes, without=question.ids_in(searcher.features))
        if len(question.terms) > 1:
            click.echo(question.told(), err=True)
        names = [words := str(question)]
    elif image is not None:
        vector = embed_files([image], searcher.features, layer, params, project)
        answers = searcher.query(vector, k, classes)
    else:
        answers, labels, splits = _ask_by_id(searcher, ids, k, classes)
    if sheet is not None:
        _draw(project, params, searcher, names, answers, labels, splits, sheet, words)
    click.echo(_as_json(names, answers) if as_json else _as_table(names, answers))


def _open(
    project: Project,
    params: Params,
    model: str,
    layer: str,
    split: str | None,
    metric: str | None,
    approximate: bool,
) -> Searcher:
    path = features_path(model, params.dataset.test, params, project)
    if split is not None:
        there = {other.stem: other for other in path.parent.glob("*.h5")}
        if split not in there:  # nor may it lead elsewhere, as ../other/test would
            raise UserError(f"--split {split}: no such split; there are {', '.join(sorted(there)) or 'none'}")
        path = there[split]
    index = project.index(f"{model}/{layer}", params.index.engine) if approximate else None
    file = FeatureFile.open(path, writer_of(project, path) or "extract")
    return Searcher(file, layer, metric or params.index.metric, index=index)  # type: ignore[arg-type]


def _question(
    ids: Sequence[str], image: Path | None, texts: Sequence[str], minus: Sequence[str], searcher: Searcher
) -> Question:
    terms = [Term(name, "id") for name in ids]
    terms += [Term(str(image), "image")] if image is not None else []
    terms += [Term(text, "text") for text in texts]
    return Question((*terms, *terms_of(minus, searcher.features, searcher.layer, files=True)))


def _ask_by_id(
    searcher: Searcher, ids: Sequence[str], k: int, classes: Sequence[str]
) -> tuple[list[Neighbors], list[tuple[str, ...]], list[str | None]]:
    """The neighbors of each id, the labels of each, and the split that it is in."""
    answers, labels = [], []
    splits: list[str | None] = []
    for name in ids:
        other, row = stored_image(searcher.features, searcher.layer, name)
        if other is searcher.features:
            answers.append(searcher.query(name, k, classes))
        else:
            answers += searcher.query(other.layer(searcher.layer)[[row]], k, classes)
        labels.append(tuple(other.classes[c] for c in np.flatnonzero(other.labels[row] == 1)))
        splits.append(other.split)
    return answers, labels, splits


def _as_json(names: Sequence[str], answers: Sequence[Neighbors]) -> str:
    import dataclasses
    import json

    lists = [[dataclasses.asdict(near) for near in found] for found in answers]
    if len(lists) == 1:
        return json.dumps(lists[0], ensure_ascii=False)
    return json.dumps(
        [{"query": name, "neighbors": found} for name, found in zip(names, lists, strict=True)],
        ensure_ascii=False,
    )


def _as_table(names: Sequence[str], answers: Sequence[Neighbors]) -> str:
    width = max(len("id"), *(len(near.id) for found in answers for near in found))
    lines: list[str] = []
    for name, found in zip(names, answers, strict=True):
        if len(answers) > 1:
            lines += ([""] if lines else []) + [name]
        lines.append(f"{'rank':>4}  {'id':<{width}}  {'distance':>10}  labels")
        for near in found:
            shown = joined(near.labels)
            lines.append(f"{near.rank:>4}  {near.id:<{width}}  {near.distance:>10.6g}  {shown}")
    return "\n".join(line.rstrip() for line in lines)


def _draw(
    project: Project,
    params: Params,
    searcher: Searcher,
    names: Sequence[str],
    answers: Sequence[Neighbors],
    labels: Sequence[tuple[str, ...]],
    splits: Sequence[str | None],
    path: Path,
    words: str | None,
) -> None:
    """Draw the sheet.

    `splits` are those of the queries, None for a file: two splits may have the same id. `words` are a
    question that is no image.
    """
    import msgspec

    from ..datasets.manifest import image_addresses, read_manifest
    from ..figures.canvas import save_figure
    from ..figures.neighbor_sheet import neighbor_sheet
    from ..images.address import Address
    from ..results.retrieval import Near, ShownQuery

    root, searched = project.images(params.dataset.root), searcher.features.split
    images_of: dict[str | None, dict[str, Address]] = {
        split: image_addresses(read_manifest(project.manifest(split)), root)
        for split in {searched, *filter(None, splits)}
    }
    images_of[None] = {name: Address(name) for name in names}
    shown = [(searched, near.id) for found in answers for near in found]
    for split, name in (*zip(splits, names, strict=True), *shown):
        if name not in images_of[split]:
            raise UserError(f"{project.manifests}: no image {name} of {split} there", rerun="extract")
    asked: dict[str, Address | str] = {
        name: words or images_of[split][name] for split, name in zip(splits, names, strict=True)
    }
    representation = f"{searcher.features.model}/{searcher.layer}"
    queries = [
        ShownQuery(
            id=name,
            drawn_for=f"query {number}" if len(names) > 1 else None,
            labels=own,
            neighbors={representation: msgspec.convert(found, tuple[Near, ...], from_attributes=True)},
        )
        for number, (name, own, found) in enumerate(zip(names, labels, answers, strict=True), start=1)
    ]
    title = f"Nearest neighbors in split {searcher.features.split}"
    figure = neighbor_sheet(
        queries, [representation], images_of[searched], searcher.metric, title=title, asked=asked
    )
    save_figure(figure, path.with_suffix(""), suffixes=[path.suffix])
