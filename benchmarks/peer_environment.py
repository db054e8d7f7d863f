"""The peers' own environment, benchmarks/.venv, and programs that run in it.

It sees the project's packages (so that both sides use the same torch and NumPy) and adds the peers, so
that the product never depends on one.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from benchmarks.contest import PeerFailedError

HERE = Path(__file__).parent
_ENVIRONMENT = HERE / ".venv"
_READY = _ENVIRONMENT / ".ready"


@functools.cache
def python() -> tuple[Path, dict[str, str]]:
    """The interpreter of the peers' environment, made where missing, and {peer: why it is not there}."""
    wanted = [line for line in (HERE / "requirements.txt").read_text().split("\n") if line and line[0] != "#"]
    program = _ENVIRONMENT / "bin" / "python"
    if not _READY.exists() or _READY.read_text().split("\n", 1)[0] != " ".join(wanted):
        subprocess.run([sys.executable, "-m", "venv", str(_ENVIRONMENT)], check=True)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = _ENVIRONMENT / "lib" / version / "site-packages"
        (packages / "project.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        missing = {}
        for requirement in wanted:
            print(f"installing {requirement}", file=sys.stderr, flush=True)
            # without dependencies: what the peers pin (NumPy 1, torchvision 0.15) excludes the project's
            done = subprocess.run(
                [str(program), "-m", "pip", "install", "--quiet", "--no-deps", requirement],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                lines = [x for x in done.stderr.split("\n") if "error" in x.lower()] or ["pip failed"]
                missing[requirement.split("==")[0]] = f"not installed: {lines[0].strip()[:120]}"
        _READY.write_text(" ".join(wanted) + "\n" + json.dumps(missing))
    return program, json.loads(_READY.read_text().split("\n", 1)[1])


class PeerProcess:
    """A program of benchmarks/peers, started once and asked for each run.

    It prints one JSON object when it is ready and one for each line that it is sent; see `peers/serve.py`.
    """

    def __init__(self, name: str, **arguments: Any) -> None:
        program, missing = python()
        self.version, self.missing, self._process = "", "", None
        self.prepared = 0.0  # seconds that it took to load or build what it searches
        package = {
            "usearch_index": "usearch",
            "hnsw_index": "hnswlib",
            "img2vec": "img2vec-pytorch",
            "cleanvision_lab": "cleanvision",
        }.get(name, name)
        if package in missing:
            self.missing = missing[package]
            return
        self._process = subprocess.Popen(
            [str(program), str(HERE / "peers" / f"{name}.py"), json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        greeting = self._answer()
        self.missing = greeting.get("error", "")
        self.version = greeting.get("version", "")
        self.prepared = greeting.get("prepared_seconds", 0.0)

    def run(self) -> tuple[float, Any]:
        """One run: the seconds that the peer took, and its answer."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        answer = self._answer()
        if "error" in answer:
            raise PeerFailedError(answer["error"])
        return answer["seconds"], answer

    def stop(self) -> None:
        """End the program."""
        if self._process is not None:
            self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        told = self._process.stderr.read().strip().split("\n")[-1] if self._process.stderr else ""
        return {"error": told[:200] or f"ended with {self._process.wait()}"}
