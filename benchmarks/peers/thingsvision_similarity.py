"""thingsvision: its unbiased linear CKA, and its RSA by rank of cosine distances."""

import sys
from importlib.metadata import version

import numpy as np
from placeholders import UNUSED, Placeholders
from serve import serve


def prepare(arguments):
    np.AxisError = np.exceptions.AxisError  # it pins NumPy 1
    sys.meta_path.append(Placeholders(*UNUSED))
    from thingsvision.core.cka import get_cka
    from thingsvision.core.rsa import compute_rdm, correlate_rdms

    first, second = np.load(arguments["first"]), np.load(arguments["second"])

    def cka():
        return get_cka("numpy", m=len(first), kernel="linear", unbiased=True).compare(first, second)

    def rsa():
        return correlate_rdms(compute_rdm(first, "cosine"), compute_rdm(second, "cosine"), "spearman")

    measure = {"CKA": cka, "RSA": rsa}[arguments["measure"]]
    return {"version": version("thingsvision")}, lambda: {"value": float(measure())}


serve(prepare)
