"""What of a data set is not read, and what in it may be a mistake: a sentence each."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from ..files.hints import counted, did_you_mean, some_of
from ..results.dataset import DatasetResult, LeftOut
from .image_facts import BadImage

_NAMED = 10  # so many of a kind are named in one line; the record has them all
_OF_A_REASON = 3


def oddities(result: DatasetResult, train: str, test: str, links: Sequence[str]) -> Iterator[str]:
    """The sentences; `links` are those to folders outside of the data set's."""
    for split, part in result.splits.items():
        if bad := part.left_out:
            kinds = Counter(image.reason.partition(" (")[0] for image in bad)
            amounts = ", ".join(f"{number} {reason}" for reason, number in kinds.most_common())
            total = counted(part.images + len(bad), "image")
            yield f"split {split}: {len(bad)} of {total} left out ({amounts}): {reasons(bad)}"
    for reason in dict.fromkeys(part.reason for part in result.passed_over):
        parts = [part for part in result.passed_over if part.reason == reason]
        parts.sort(key=lambda part: -part.files)
        amounts = some_of([f"{part.files} {part.ending or 'without an ending'}" for part in parts])
        number = sum(part.files for part in parts)
        yield f"passed over, {reason}: {number} ({amounts}), such as {parts[0].example}"
    if links:
        yield (
            f"changes behind links to other folders go unseen ({some_of(links)}): after one, force the stage "
            "dataset to run"
        )
    yield from _odd_classes(result, train, test)
    if found := result.disagreements:
        few = [f"{d.id} ({d.class_name} {d.listed}, annotated {d.annotated})" for d in found]
        yield (
            f"{counted(len(found), 'label')} in ImageSets/Main and Annotations disagree, the former count: "
            f"{some_of(few, _NAMED)}"
        )


def reasons(bad: Iterable[BadImage | LeftOut]) -> str:
    """Some of the images that cannot be read, by the reason."""
    paths: dict[str, list[str]] = {}
    for image in bad:
        paths.setdefault(image.reason, []).append(image.path)
    told = [f"{some_of(names, _OF_A_REASON)}: {why}" for why, names in paths.items()]
    return some_of(told, _NAMED, "; ")


def _odd_classes(result: DatasetResult, train: str, test: str) -> Iterator[str]:
    alike: dict[str, list[str]] = {}
    for name in result.classes:
        alike.setdefault(unicodedata.normalize("NFC", name).casefold(), []).append(name)
    for names in alike.values():
        if len(names) > 1:
            shown = " and ".join(ascii(name) for name in names)  # as they may look the same
            yield f"classes of their own, though they differ in case or form alone: {shown}"
    for split, other in ((train, test), (test, train)):
        here, there = ({c for c, n in result.splits[s].positives.items() if n} for s in (split, other))
        if lone := [name for name in result.classes if name in here - there]:
            hints = [f"{name}{did_you_mean(name, here & there)}" for name in lone]
            classes = counted(len(lone), "class", "classes")
            yield f"{classes} with images in {split} and none in {other}: {some_of(hints)}"
