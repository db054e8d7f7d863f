"""cleanlab: the confident joint, the quality of each label and image, and the labels it takes for wrong."""

import cleanlab
import numpy as np
from cleanlab.count import compute_confident_joint
from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class
from cleanlab.multilabel_classification.rank import (
    get_label_quality_scores,
    get_label_quality_scores_per_class,
)
from serve import serve


def prepare(arguments):
    given = np.load(arguments["given"])
    shown, labels = given["shown"], [np.flatnonzero(row).tolist() for row in given["present"]]

    def run():
        np.savez(
            arguments["out"],
            joint=compute_confident_joint(labels, shown, multi_label=True),
            quality=get_label_quality_scores_per_class(labels, shown),
            of_images=get_label_quality_scores(labels, shown),
            issues=find_multilabel_issues_per_class(labels, shown, n_jobs=1),
        )
        return {}

    return {"version": cleanlab.__version__}, run


serve(prepare)
