"""hnswlib: an HNSW graph, built once, asked in one batch or one by one."""

from importlib.metadata import version

import hnswlib
import numpy as np
from serve import serve


def prepare(arguments):
    database, queries = np.load(arguments["database"], mmap_mode="r"), np.load(arguments["queries"])
    index = hnswlib.Index("cosine", database.shape[1])
    index.init_index(len(database), ef_construction=100, M=16)
    index.set_num_threads(2)
    index.add_items(database, np.arange(len(database)))
    index.set_ef(arguments["ef"])

    def run():
        rows, _ = index.knn_query(queries, k=arguments["k"])
        np.save(arguments["out"], rows)
        return {}

    return {"version": version("hnswlib")}, run


serve(prepare)
