"""The stage hard: which classes are hard; sheets of hits, misses and false alarms, a text from counts."""

from __future__ import annotations

from ..analysis.annotated_objects import read_object_statistics
from ..analysis.hard_classes import examine_classes
from ..analysis.model_scores import load_scores
from ..datasets.manifest import image_addresses, read_manifest
from ..figures.hard_classes import draw_class_sheet
from ..files.atomic import make_folders
from ..params import load_params
from ..project import Project
from ..results.ap import ApResult
from ..results.hard import HardResult
from ..results.record import load_record, save_record, tell_gaps
from . import run


def main() -> None:
    project = Project()
    params = load_params(project.params)
    ap = load_record(ApResult, project.result("ap"))
    folder = project.report("hard")
    make_folders(folder, filled=ap.has_values)
    examined, gaps = [], () if ap.has_values else ap.gaps
    if ap.has_values:
        measure = ap.measures[0]
        model = ap.best_model(measure)
        data = load_scores([model], params, project)
        manifest = read_manifest(project.manifest(params.dataset.test))
        path_of = image_addresses(manifest, project.images(params.dataset.root))
        images = [path_of[name] for name in data.ids.tolist()]
        are_objects = any(address.crop for address in images)
        objects = {} if are_objects else read_object_statistics(project.objects, manifest, data.ids)
        if not objects:
            why = "a row is an object itself" if are_objects else "no object is annotated"
            gaps = (f"{why}: nothing is said about their sizes and numbers",)
        examined = examine_classes(ap, measure, model, data.scores[model], data.labels, objects)
        for item, ranking in examined:
            draw_class_sheet(
                item,
                ranking,
                (folder / item.sheet).with_suffix(""),
                images=images,
                ids=data.ids,
                scores=data.scores[model],
                labels=data.labels,
                classes=data.classes,
                objects=objects.get(item.class_name),
            )
    result = HardResult(split=ap.split, classes=tuple(item for item, _ in examined), gaps=gaps)
    tell_gaps(result, params.ap.of)
    save_record(result, project.result("hard"))


if __name__ == "__main__":
    run(main)
