"""The runs that `pool5 compare` is asked for: folders, and what DVC recorded of experiments and commits."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePath
from typing import Any

from ..analysis.runs.recorded_run import RecordedRun
from ..errors import UserError
from ..files.hints import did_you_mean
from ..project import Project

_RECORDS = ("ap", "retrieval", "compare")


@contextmanager
def opened_runs(names: Sequence[str], project: Project) -> Iterator[list[RecordedRun]]:
    """Open runs for as long as they are looked at.

    What DVC recorded is linked from its cache into a folder that lasts as long; nothing is checked out.

    Raises
    ------
    UserError
        If a name is neither a folder with a project or results, nor a revision of this project.
    """
    with ExitStack() as at_last:
        yield [at_last.enter_context(_opened(name, project)) for name in names]


@contextmanager
def _opened(name: str, project: Project) -> Iterator[RecordedRun]:
    folder = project.root / name
    if Project(folder).params.is_file() or Project(folder).results.is_dir():
        yield RecordedRun(name, str(folder), Project(folder))
        return
    with tempfile.TemporaryDirectory(prefix="pool5-") as temporary:
        view = Project(Path(temporary))
        if any((folder / f"{record}.json").is_file() for record in _RECORDS):
            view.data.mkdir()
            view.results.symlink_to(folder.resolve())
            yield RecordedRun(name, str(folder), view)
        else:
            yield RecordedRun(name, f"commit {_link_revision(name, project, view)[:7]}", view)


def _link_revision(name: str, project: Project, view: Project) -> str:
    """Put a revision's params.yaml, and links to what DVC recorded of it, into `view`; gives the commit."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.scm import NoSCM, RevError, SCMError

    there = "a folder without params.yaml or results" if (project.root / name).is_dir() else "no such folder"
    try:
        with Repo(str(project.root)) as repo:
            if isinstance(repo.scm, NoSCM):
                raise UserError(f"{name}: {there}, and this project is not under git; give a folder")
            try:
                with repo.switch(name) as revision:
                    _link_outputs(repo, view)
            except RevError:
                hint = did_you_mean(name, _names(repo))
                told = f"{name}: {there}, and no experiment, branch, tag or commit of this project{hint}"
                raise UserError(f"{told}; `dvc exp list --all-commits` tells which there are") from None
    except (DvcException, SCMError) as error:
        raise UserError(f"{name}: {there}, and {' '.join(str(error).split())}") from None
    if not view.results.is_dir():
        told = f"{name}: the results of commit {revision[:7]} are not in DVC's cache"
        raise UserError(f"{told}; get them with `dvc fetch --all-commits` or `dvc exp pull`, or run it")
    return str(revision)


def _names(repo: Any) -> list[str]:
    """What revisions are called: experiments, branches and tags."""
    from dvc.repo.experiments.utils import exp_refs

    return [*(ref.name for ref in exp_refs(repo.scm)), *repo.scm.list_branches(), *repo.scm.list_tags()]


def _link_outputs(recorded: Any, view: Project) -> None:
    """Link the outputs that runs are compared by, as far as DVC's cache has them."""
    fs, root = recorded.fs, recorded.root_dir
    params = fs.join(root, *Project().params.parts)
    if fs.isfile(params):
        view.params.write_bytes(fs.cat_file(params))
    plain = Project()
    rows = [plain.probes, plain.feature_folders, plain.derived_folders, plain.neighbor_folders]
    for out in recorded.index.outs:
        place = PurePath(*fs.relparts(out.fs_path, root))
        if not any(place.is_relative_to(folder) for folder in (plain.results, *rows)):
            continue
        for inside, kept in _files(out):
            target = place / inside
            if kept.is_file() and ".." not in target.parts and not target.is_absolute():
                (view.root / target).parent.mkdir(parents=True, exist_ok=True)
                (view.root / target).symlink_to(kept)


def _files(out: Any) -> Iterator[tuple[PurePath, Path]]:
    """The files of an output of DVC, by their place in it, and where its cache keeps them."""
    if not out.hash_info or (content := out.get_obj()) is None:  # never made, or not in this cache
        return
    found = [(key, info) for key, _, info in content] if out.hash_info.isdir else [((), out.hash_info)]
    for key, info in found:
        yield PurePath(*key), Path(out.cache.oid_to_path(info.value))
