"""What a user can cause."""

from __future__ import annotations


class UserError(Exception):
    """Something a user can mend.

    The message is one line: it names the thing (key, file, id), says what was found and what to do. Where a
    part of the pipeline must run again, `rerun` names it, and the faces (shell, stages, service) say how.

    Parameters
    ----------
    problem : str
    rerun : str, optional
        A stage, with its item behind an @ where it has several: `dataset`, `model@caffenet`.
    force : bool
        Run it although nothing that it depends on has changed, as for a damaged output.
    """

    def __init__(self, problem: str, *, rerun: str | None = None, force: bool = False) -> None:
        super().__init__(problem)
        self.rerun = rerun
        self.force = force


class NotThere(UserError):  # noqa: N818 - says more than NotThereError
    """An id, layer, split, class or result that there is none of."""
