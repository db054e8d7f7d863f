"""usearch: its exact search, and its HNSW graph."""

import numpy as np
import usearch
from serve import serve
from usearch.index import Index, MetricKind, search


def prepare(arguments):
    database, queries = np.load(arguments["database"]), np.load(arguments["queries"])
    k = arguments["k"]
    if arguments.get("exact"):

        def find():
            return search(database, queries, k, MetricKind.Cos, exact=True, threads=2).keys

    else:
        index = Index(ndim=database.shape[1], metric=MetricKind.Cos, dtype="f32", connectivity=16)
        index.expansion_add, index.expansion_search = 100, arguments["ef"]
        index.add(np.arange(len(database)), database, threads=2)

        def find():
            return index.search(queries, k, threads=2).keys

    def run():
        np.save(arguments["out"], np.asarray(find(), np.int64).reshape(len(queries), -1))
        return {}

    return {"version": usearch.__version__}, run


serve(prepare)
