"""Modules that a peer imports and that the work at hand does not use."""

import importlib.abc
import importlib.machinery
import types
from unittest import mock

# of thingsvision: TensorFlow, and the model zoos that it imports
UNUSED = ("tensorflow", "keras", "open_clip", "timm", "transformers", "accelerate", "clip", "numba")


class Placeholders(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stand in for modules of these names."""

    def __init__(self, *names):
        self._names = names

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self._names:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__getattr__ = lambda name: mock.MagicMock()
        return module

    def exec_module(self, module):
        pass
