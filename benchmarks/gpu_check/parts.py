"""The parts of the check, in order of worth. A further one is a function in a file and a line here."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of the check.

    Attributes
    ----------
    letter : str
        By which `--parts` asks for it.
    name, about : str
    run : str
        `module:function` of what is called with a `Check`.
    limit_s : float
        The most that it may take on a card of the H100's kind with 16 cores.
    """

    letter: str
    name: str
    about: str
    run: str
    limit_s: float


_HERE = "benchmarks.gpu_check."
PARTS = (
    Part("a", "tests", "the tests marked gpu", f"{_HERE}marked_tests:run", 50),
    Part("b", "pipeline", "the sample's pipeline, twice: the same bytes?", f"{_HERE}pipeline_twice:run", 90),
    Part("c", "features", "features of the card against the CPU's", f"{_HERE}features:run", 40),
    Part("d", "extraction", "from JPEG files to features, and its limits", f"{_HERE}extraction:run", 155),
    Part("e", "faiss", "FAISS on the card against the CPU", f"{_HERE}faiss_search:run", 100),
    Part("f", "training", "a step of training", f"{_HERE}training:run", 45),
)
CPU_TAKES = 10  # times as long as a card, at its most; there, others may be at work


def parts_of(letters: str) -> list[Part]:
    """The parts of `a,b,c`, in the order in which they are named.

    Raises
    ------
    ValueError
        For a letter that is none.
    """
    known = {part.letter: part for part in PARTS}
    asked = [letter.strip() for letter in letters.split(",")]
    if unknown := [letter for letter in asked if letter not in known]:
        raise ValueError(f"there is no part {unknown[0]!r}; there are {','.join(known)}")
    return [known[letter] for letter in dict.fromkeys(asked)]
