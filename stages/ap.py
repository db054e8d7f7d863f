"""The stage ap: average precision of the models and probes in ap.of; tables, figures, curves, metrics."""

from __future__ import annotations

from ..analysis.ap_comparison import compare_models
from ..analysis.ap_tables import ap_csv, ap_latex, ap_markdown, ap_metrics, curves_csv, differences_csv
from ..analysis.model_scores import load_scores
from ..figures.ap import draw_ap, draw_differences
from ..files.atomic import write_text
from ..files.json_file import write_json
from ..measures.average_precision import AP
from ..params import load_params
from ..project import Project
from ..results.record import save_record, tell_gaps
from . import run


def main() -> None:
    project = Project()
    params = load_params(project.params)
    data = load_scores(params.ap.of, params, project)
    result = compare_models(
        data.scores,
        data.labels,
        data.classes,
        split=params.dataset.test,
        measures=[AP(protocol) for protocol in params.ap.protocols],
        resamples=params.ap.bootstrap,
        seed=params.ap.seed,
        gaps=data.gaps,
        notes=data.notes,
    )
    tell_gaps(result, params.ap.of)
    save_record(result, project.result("ap"))

    write_json(project.metrics("ap"), ap_metrics(result))
    for name, text in (("ap.csv", ap_csv), ("ap.md", ap_markdown), ("ap.tex", ap_latex)):
        write_text(project.report("ap", name), text(result))
    write_text(project.report("ap", "differences.csv"), differences_csv(result))
    project.report("ap", "pr").mkdir(exist_ok=True)
    for model, scores in data.scores.items():
        write_text(project.report("ap", "pr", f"{model}.csv"), curves_csv(scores, data.labels, data.classes))
    if result.has_values:
        draw_ap(result, result.measures[0], project.report("ap", "ap"))
        draw_differences(result, result.measures[0], project.report("ap", "differences"))


if __name__ == "__main__":
    run(main)
