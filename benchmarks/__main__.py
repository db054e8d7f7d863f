"""`make bench` and `make bench-gpu`: measure, print, and keep the results.

python -m benchmarks [--gpu] [--only PART] [--part-of-results]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.contest import DIFFERENT, Row
from benchmarks.results_page import machine, markdown, put_section, read_results, table, write_results

HERE = Path(__file__).parent


def parts(scratch: Path) -> dict[str, Callable[[], list[Row]]]:
    """The parts of the CPU run, in order; about 20 minutes on two cores together."""
    from benchmarks.approximate import approximate_rows
    from benchmarks.decoders import decoder_rows
    from benchmarks.extraction import again_rows, extraction_rows, extractor_rows, timm_rows
    from benchmarks.label_issues import label_rows
    from benchmarks.looks import looks_rows
    from benchmarks.maps import further_map_rows, map_rows
    from benchmarks.neighbors import euclidean_rows, neighbor_rows
    from benchmarks.overhead import overhead_rows
    from benchmarks.precision import precision_rows
    from benchmarks.probing import probing_rows
    from benchmarks.publishing import publishing_rows
    from benchmarks.representations import coverage_rows, representation_rows
    from benchmarks.runners import runner_rows
    from benchmarks.scaling import scaling_rows
    from benchmarks.serve import serve_rows
    from benchmarks.storage import storage_rows

    return {
        "extraction": lambda: extraction_rows(scratch, images=600, runs=2),
        "extractors": lambda: extractor_rows(scratch, images=128, runs=2),
        "decoders": decoder_rows,
        "timm": lambda: timm_rows(scratch, images=128, runs=5),
        "again": lambda: again_rows(scratch, images=128, runs=2),
        "storage": lambda: storage_rows(scratch),
        "publishing": lambda: publishing_rows(scratch),
        "neighbors-5k": lambda: neighbor_rows(scratch, 4952, 6400, runs=2),
        "neighbors-5k-l2": lambda: euclidean_rows(4952, 6400, runs=2),
        "neighbors-60k": lambda: neighbor_rows(scratch, 60_000, 512, runs=1),
        "neighbors-1m": lambda: neighbor_rows(scratch, 1_000_000, 512, batch=64, runs=1),
        "approximate": lambda: approximate_rows(scratch, 60_000, 512, asked=1000, runs=3),
        "maps": lambda: [*map_rows(1000, 4096, runs=3), *map_rows(10_000, 512, runs=1)],
        "further-maps": lambda: further_map_rows(1000, 4096, 3) + further_map_rows(5000, 512, 1),
        "looks": lambda: looks_rows(scratch),
        "representations": lambda: representation_rows(scratch, 4952, (6400, 512), runs=2),
        "likeness-intervals": lambda: coverage_rows(400),
        "precision": precision_rows,
        "probing": probing_rows,
        "labels": lambda: label_rows(scratch),
        "overhead": lambda: overhead_rows(scratch, runs=2),
        "runners": lambda: runner_rows(scratch),
        "scaling": lambda: scaling_rows(scratch),
        "serve": lambda: serve_rows(scratch, 5000, 4096),
        "serve-1m": lambda: serve_rows(scratch, 1_000_000, 512, seconds=20, runs=1),
    }


def gpu_parts(scratch: Path) -> dict[str, Callable[[], list[Row]]]:
    """The parts of the GPU run."""
    from benchmarks.extraction import extraction_rows

    return {"extraction": lambda: extraction_rows(scratch, images=576, device="cuda")}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--gpu", action="store_true", help="measure on CUDA")
    parser.add_argument("--only", help="one part: its rows replace those of the last run")
    chosen = parser.parse_args(arguments)
    if chosen.gpu:
        import torch

        if not torch.cuda.is_available():
            sys.exit("pool5: benchmarks --gpu: torch finds no GPU; run make bench for the CPU's rows")
    kind = "gpu" if chosen.gpu else "cpu"
    results = HERE / "results" / f"{kind}.json"
    if not chosen.only:
        results.unlink(missing_ok=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pool5-bench-") as folder:
        all_parts = (gpu_parts if chosen.gpu else parts)(Path(folder))
        if chosen.only and chosen.only not in all_parts:
            sys.exit(f"pool5: benchmarks --only: no part {chosen.only}; there are {', '.join(all_parts)}")
        rows = read_results(results) if results.exists() else []
        for name, measure in all_parts.items():
            if chosen.only in (None, name):
                found = measure()
                measured = {(row.row, row.input) for row in found}
                rows = [row for row in rows if (row.row, row.input) not in measured] + found
                write_results(rows, results)  # part by part: nothing is lost to an error further on
                print(f"{name}: {time.monotonic() - began:.0f} s so far", file=sys.stderr, flush=True)
    put_section(HERE / "README.md", kind, markdown(rows, machine(chosen.gpu)))
    print(table(rows))
    print(
        f"\n{len(rows)} rows in {time.monotonic() - began:.0f} s, kept in {results.relative_to(HERE.parent)}"
    )
    if wrong := [row for row in rows if row.same_work.startswith(DIFFERENT)]:
        sys.exit(
            f"pool5: {len(wrong)} rows did not do the same work; the first is {wrong[0].row}, {wrong[0].peer}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
