"""Average precision of the models and probes in ap.of: tables, figures, curves, metrics."""

import json
from pathlib import Path

from ..analysis.ap_comparison import compare_models
from ..analysis.ap_tables import (
    ap_csv,
    ap_latex,
    ap_markdown,
    ap_metrics,
    curves_csv,
    differences_csv,
)
from ..analysis.model_scores import load_scores
from ..figures.ap import draw_ap, draw_differences
from ..files.atomic import write_text
from ..params import load_params
from . import run


def main() -> None:
    params = load_params()
    data = load_scores(params.ap.of, params)
    comparison = compare_models(
        data.scores,
        data.labels,
        data.classes,
        protocols=params.ap.protocols,
        resamples=params.ap.bootstrap,
        seed=params.ap.seed,
    )
    folder = Path("reports/ap")
    write_text(folder / "ap.csv", ap_csv(comparison))
    write_text(folder / "ap.md", ap_markdown(comparison))
    write_text(folder / "ap.tex", ap_latex(comparison))
    write_text(folder / "differences.csv", differences_csv(comparison))
    for model, scores in data.scores.items():
        write_text(folder / "pr" / f"{model}.csv", curves_csv(scores, data.labels, data.classes))
    draw_ap(comparison, params.ap.protocols[0], folder / "ap")
    draw_differences(comparison, params.ap.protocols[0], folder / "differences")
    metrics = json.dumps(ap_metrics(comparison), indent=2, sort_keys=True)
    write_text(Path("reports/metrics/ap.json"), metrics + "\n")


if __name__ == "__main__":
    run(main)
