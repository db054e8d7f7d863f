"""Run every stage of a project in the order of dvc.yaml, and write down what each one opens and reads.

Every stage is a child of one process that has imported everything. In the child an audit hook records the
files that Python opens; around it inotify records those that anything opens (HDF5, FAISS, safetensors, a
decode worker); and the sections of params.yaml record the keys that are read.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import re
import struct
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import yaml

_IN_OPEN, _IN_ISDIR, _NONBLOCK = 0x20, 0x40000000, 0o4000
_EVENT = struct.Struct("iIII")


def stages_of(
    graph: dict[str, Any], params: dict[str, Any]
) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
    """(name, item, the stage with `${...}` filled in), models after those that they start from."""
    for name, stage in graph["stages"].items():
        if "foreach" not in stage:
            yield name, None, _filled(stage, params)
            continue
        for item in _in_order(params["models"]):
            yield name, item, _filled(stage["do"], params | {"key": item, "item": params["models"][item]})


def _in_order(models: dict[str, Any]) -> list[str]:
    done: list[str] = []
    while len(done) < len(models):
        done += [
            n for n, m in models.items() if n not in done and m["weights"] not in set(models) - set(done)
        ]
    return done


def _filled(value: Any, names: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {_filled(key, names): _filled(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, names) for inner in value]
    if not isinstance(value, str):
        return value

    def named(match: re.Match[str]) -> str:
        found: Any = names
        for step in match[1].split("."):
            found = found[step]
        return str(found)

    return re.sub(r"\$\{(?!run)([\w.]+)\}", named, value)


class Opened:
    """The files below a folder that any process opens, by inotify."""

    def __init__(self, folder: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._file = self._libc.inotify_init1(_NONBLOCK)
        self._names: dict[int, str] = {}
        for place, folders, _ in os.walk(folder):
            folders[:] = [name for name in folders if name not in {".git", ".dvc"}]
            watch = self._libc.inotify_add_watch(self._file, os.fsencode(place), _IN_OPEN)
            assert watch >= 0, place
            self._names[watch] = os.path.relpath(place, folder)

    def names(self) -> set[str]:
        found = set()
        while True:
            try:
                events = os.read(self._file, 1 << 20)
            except BlockingIOError:
                os.close(self._file)
                return found
            while events:
                watch, mask, _, length = _EVENT.unpack_from(events)
                name = events[_EVENT.size : _EVENT.size + length].rstrip(b"\0").decode()
                events = events[_EVENT.size + length :]
                if name and not mask & _IN_ISDIR:
                    found.add(os.path.normpath(f"{self._names[watch]}/{name}"))


class ReadKeys:
    """The keys of params.yaml that are read after it was loaded and checked."""

    def __init__(self) -> None:
        from pool5.params import sections

        self.keys: set[str] = set()
        self._places: dict[int, str] = {}
        self._kept: list[Any] = []
        section = sections._Section
        plain = object.__getattribute__

        def read(value: Any, name: str) -> Any:
            found = plain(value, name)
            place = self._places.get(id(value))
            if place is not None and name in type(value).__struct_fields__:
                self._note(f"{place}.{name}".lstrip("."), found)
            return found

        section.__getattribute__ = read
        self._section = section

    def _note(self, key: str, value: Any) -> None:
        parts = value.values() if isinstance(value, dict) else [value]
        # a section is no value; what is read of it will be noted
        if not any(isinstance(part, self._section) for part in parts):
            self.keys.add(key)

    def watch(self, value: Any, place: str = "") -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                self.watch(inner, f"{place}.{name}")
        elif isinstance(value, self._section):
            self._kept.append(value)
            for name in value.__struct_fields__:
                self.watch(object.__getattribute__(value, name), f"{place}.{name}".lstrip("."))
            self._places[id(value)] = place

    def watch_loading(self) -> None:
        """Record what is read of all params that are loaded from now on."""
        import pool5.params

        load, to_builtins = pool5.params.load_params, msgspec.to_builtins

        def load_and_watch(*arguments: Any, **named: Any) -> Any:
            # defaults are one object for all models; here each must have its own
            params = msgspec.convert(to_builtins(load(*arguments, **named)), pool5.params.Params)
            self.watch(params)
            return params

        def note_whole(value: Any, *arguments: Any, **named: Any) -> Any:
            if (place := self._places.get(id(value))) is not None:
                self.keys |= {f"{place}.{name}".lstrip(".") for name in value.__struct_fields__}
            return to_builtins(value, *arguments, **named)

        pool5.params.load_params = load_and_watch
        msgspec.to_builtins = note_whole


def _in_a_child(folder: Path, module: Any, item: str | None, read: ReadKeys, report: Path) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    from pool5.stages import run

    opened: set[str] = set()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | bytes):
            mode, flags = arguments[1], arguments[2] or 0
            writes = (isinstance(mode, str) and set(mode) & set("wax+")) or flags & (os.O_WRONLY | os.O_RDWR)
            if not writes:
                opened.add(os.path.abspath(os.fsdecode(arguments[0])))  # noqa: PTH100

    code = 1
    try:
        os.chdir(folder)
        sys.argv = [module.__name__, *([item] if item else [])]
        sys.addaudithook(hook)
        run(module.main)
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        inside = sorted(os.path.relpath(name, folder) for name in opened if name.startswith(f"{folder}/"))
        report.write_text(json.dumps({"opened": inside, "keys": sorted(read.keys)}))
        os._exit(code)


def run_all(folder: Path, before: Mapping[str, Callable[[Path], None]] = MappingProxyType({})) -> None:
    """Run the stages of `folder`, and leave audit.json there.

    `before` has what is called before a stage's first item.
    """
    folder = folder.resolve()
    graph, params = (yaml.safe_load((folder / name).read_text()) for name in ("dvc.yaml", "params.yaml"))
    read, audit, report = ReadKeys(), {}, folder.parent / f"{folder.name}.child.json"
    read.watch_loading()
    work, steps = list(stages_of(graph, params)), dict(before)
    for name, item, stage in work:
        if name in steps:
            steps.pop(name)(folder)
        opens = Opened(folder)
        began = time.perf_counter()
        module = importlib.import_module(f"pool5.stages.{name}")
        code = _in_a_child(folder, module, item, read, report)
        seconds = time.perf_counter() - began
        there = opens.names()
        told = json.loads(report.read_text())
        outs = [*stage["outs"], *stage.get("metrics", [])]
        outs = [path for out in outs for path in ([out] if isinstance(out, str) else out)]
        audit[name if item is None else f"{name}@{item}"] = {
            "code": code,
            "seconds": round(seconds, 2),
            "opened": sorted(name for name in there | set(told["opened"]) if (folder / name).is_file()),
            "keys": told["keys"],
            "deps": stage["deps"],
            "outs": outs,
            "missing": [out for out in outs if not (folder / out).exists()],
        }
    (folder / "audit.json").write_text(json.dumps(audit, indent=1))


if __name__ == "__main__":
    run_all(Path(sys.argv[1]))
