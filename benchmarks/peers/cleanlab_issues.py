"""cleanlab: the quality of every label of images that may have several."""

import cleanlab
import numpy as np
from cleanlab.multilabel_classification.rank import get_label_quality_scores_per_class
from serve import serve


def prepare(arguments):
    given = np.load(arguments["given"])
    shown, labels = given["shown"], [np.flatnonzero(row).tolist() for row in given["present"]]

    def run():
        np.save(arguments["out"], get_label_quality_scores_per_class(labels, shown))
        return {}

    return {"version": cleanlab.__version__}, run


serve(prepare)
