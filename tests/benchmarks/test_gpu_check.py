"""The check of a card: what goes wrong in one part costs no other, and what was told is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks.gpu_check import __main__ as program
from benchmarks.gpu_check import own_package
from benchmarks.gpu_check.page import section
from benchmarks.gpu_check.parts import PARTS, Part, parts_of
from benchmarks.gpu_check.pipeline_twice import (
    Stage,
    differing,
    outputs_of,
    run_stages,
    short_params,
)
from benchmarks.gpu_check.record import Record, commit_of, joined, read_record, write_record
from benchmarks.gpu_check.supervise import Ended, supervise
from pool5.params import load_params

HERE = Path(__file__).parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(HERE)}
ABOUT = {
    "machine": {"card": None, "processor": "a CPU", "cores": 2, "memory_gb": 1.0},
    "versions": {
        "python": "3",
        "torch": "2",
        "torchvision": "0",
        "cuda": None,
        "driver": None,
        "faiss": None,
    },
}


def part(function: str, letter: str = "x") -> Part:
    return Part(letter, function, "a fake", f"fake_parts:{function}", 60)


def supervised(function: str, folder: Path, limit_s: float = 60) -> Ended:
    return supervise(
        part(function),
        device="cpu",
        quick=True,
        scratch=folder / function,
        limit_s=limit_s,
        environment=ENVIRONMENT,
    )


def is_gone(pid: int) -> bool:
    for _ in range(200):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


def test_a_part_that_passes_tells_numbers_to_four_digits_and_its_memory(tmp_path):
    ended = supervised("passes", tmp_path)
    assert (ended.status, ended.failures) == ("passed", [])
    assert [line["rate"] for line in ended.lines] == [123.5, None]
    assert ended.lines[0]["host_mb"] > 0


def test_a_finding_that_is_not_as_it_should_be_is_one_line(tmp_path):
    ended = supervised("fails", tmp_path)
    assert ended.status == "failed"
    assert ended.failures == ["x fails: far: too far"]
    assert len(ended.lines) == 2


def test_a_part_that_raises_keeps_what_it_told_and_says_where(tmp_path):
    ended = supervised("raises", tmp_path)
    assert ended.status == "failed"
    assert ended.failures == ["x raises: RuntimeError: no such kernel"]
    assert ended.lines[0]["what"] == "before"
    assert "fake_parts.py" in ended.lines[1]["traceback"]


@pytest.mark.parametrize(("how", "why"), [("is_killed", "signal SIGKILL"), ("aborts", "exit code 3")])
def test_a_part_that_crashes_says_how(tmp_path, how, why):
    ended = supervised(how, tmp_path)
    assert ended.status == "crashed"
    assert ended.failures[0].startswith(f"x {how}: crashed: {why}")
    if how == "aborts":
        assert "CUDA: a device-side assert" in ended.why
    else:
        assert ended.lines[0]["what"] == "before"


def test_a_part_that_is_not_there_crashes_with_the_reason(tmp_path):
    ended = supervised("no_such_function", tmp_path)
    assert ended.status == "failed"
    assert "no_such_function" in ended.failures[0]


def test_a_part_over_its_time_is_ended_with_all_that_it_started(tmp_path):
    ended = supervised("hangs", tmp_path, limit_s=5)
    assert (ended.status, ended.why) == ("cut off", "after 5 s")
    (line,) = ended.lines
    assert is_gone(line["child"])
    assert is_gone(line["sleeper"])


def test_a_part_that_needs_a_package_that_is_missing_is_skipped(tmp_path):
    ended = supervised("needs_more", tmp_path)
    assert (ended.status, ended.failures) == ("skipped", [])
    assert ended.why == "it needs no_such_package_anywhere, which is not installed"
    assert len(ended.lines) == 1


def checked(folder: Path, *names: str, limit_s: float | None = None) -> tuple[list[str], dict]:
    parts = [part(name, letter) for name, letter in zip(names, "abcdef", strict=False)]
    record = Record(folder / "out", ABOUT, "cpu", True, "abc")
    failures = program.check(parts, record, folder / "scratch", dict(ENVIRONMENT), limit_s)
    return failures, read_record(record.path)


def test_the_parts_after_one_that_fails_are_run_and_kept(tmp_path, capsys):
    failures, record = checked(tmp_path, "raises", "is_killed", "passes")
    assert [part["status"] for part in record["parts"].values()] == ["failed", "crashed", "passed"]
    assert len(failures) == 2
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["part"] for line in printed] == ["a", "b", "c"]


def test_what_no_time_is_left_for_is_skipped(tmp_path):
    failures, record = checked(tmp_path, "passes", limit_s=1)
    assert failures == []
    assert record["parts"]["a"]["why"] == "no time was left for it"


def test_what_was_told_is_kept_when_the_whole_program_is_killed(tmp_path):
    code = (
        "import os, pathlib, sys\n"
        "from tests.benchmarks.test_gpu_check import checked\n"
        "checked(pathlib.Path(sys.argv[1]), 'passes', 'hangs')"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=HERE.parents[1])
    path = tmp_path / "out" / "gpu-cpu.json"
    for _ in range(1200):
        if path.exists() and read_record(path)["parts"].get("b", {}).get("lines"):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    parts = read_record(path)["parts"]
    assert (parts["a"]["status"], len(parts["a"]["lines"])) == ("passed", 2)
    assert parts["b"]["status"] == "running"
    assert parts["b"]["lines"][0]["what"] == "before"
    assert is_gone(parts["b"]["lines"][0]["child"])
    os.kill(parts["b"]["lines"][0]["sleeper"], signal.SIGKILL)  # nobody was left to end it


def test_parts_are_taken_in_the_order_in_which_they_are_named(capsys):
    assert [part.letter for part in parts_of("f,a,f")] == ["f", "a"]
    assert program.main(["--parts", "a,z"]) == 2
    assert capsys.readouterr().err == "gpu-check: there is no part 'z'; there are a,b,c,d,e,f\n"


def test_together_the_parts_take_eight_minutes_and_the_first_three_three():
    assert sum(part.limit_s for part in PARTS) <= 480
    assert sum(part.limit_s for part in PARTS[:3]) <= 180


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_machine_without_a_card_is_told_in_one_line(tmp_path, capsys):
    assert program.main(["--out", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("gpu-check: cuda:0: ")
    assert told.endswith("--device cpu --quick checks what needs no GPU\n")
    assert len(told.splitlines()) == 1


def test_where_pip_has_not_installed_the_package_it_is_found_by_links(tmp_path, monkeypatch):
    monkeypatch.setattr(own_package, "_is_here", lambda: False)
    environment = own_package.environment_with_pool5(tmp_path)
    code = "import pool5.stages, pool5.presets, pool5.params.sections; print(pool5.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()).is_relative_to(tmp_path)


def test_a_file_that_is_no_record_is_not_written_over(tmp_path, capsys):
    other = tmp_path / "gpu-cpu.json"
    other.write_text("[]")
    assert program.main(["--device", "cpu", "--quick", "--out", str(tmp_path)]) == 2
    assert "not a record of gpu-check" in capsys.readouterr().err
    assert other.read_text() == "[]"


def test_two_runs_are_put_together_part_by_part(tmp_path):
    _, first = checked(tmp_path / "first", "passes", "fails")
    _, second = checked(tmp_path / "second", "passes")
    second["commit"] = second["parts"]["a"]["commit"] = "def"
    whole = joined([first, second])
    assert whole["commit"] == "def"
    assert [part["commit"] for part in whole["parts"].values()] == ["def", "abc"]


def test_what_is_measured_in_small_is_not_put_beside_what_is_not(tmp_path, monkeypatch, capsys):
    _, small = checked(tmp_path, "passes", "fails")
    whole = Record(tmp_path / "out", ABOUT, "cpu", False, "def").document
    assert whole["parts"] == {}
    whole["parts"] = small["parts"]
    monkeypatch.setattr(program, "_RESULTS", tmp_path / "out")
    write_record(whole, tmp_path / "gpu-cpu.json")
    assert program.main(["--keep", str(tmp_path / "gpu-cpu.json")]) == 2
    assert "measured with --quick is not kept beside what was not" in capsys.readouterr().err
    assert read_record(tmp_path / "out/gpu-cpu.json") == small


def test_records_are_kept_beside_the_parts_that_are_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(program, "_RESULTS", tmp_path / "results")
    monkeypatch.setattr(program, "_README", tmp_path / "README.md")
    (tmp_path / "README.md").write_text("<!-- gpu-check: begin -->\n<!-- gpu-check: end -->\n")
    _, first = checked(tmp_path / "first", "passes", "fails")
    _, second = checked(tmp_path / "second", "raises")
    for folder in ("first", "second"):
        assert program.main(["--keep", str(tmp_path / folder / "out/gpu-cpu.json")]) == 0
    kept = read_record(tmp_path / "results/gpu-cpu.json")["parts"]
    assert kept == first["parts"] | second["parts"]
    assert [part["said"] for part in kept.values()] == ["it said nothing", "it said nothing"]
    assert "- a raises: RuntimeError" in (tmp_path / "README.md").read_text()
    capsys.readouterr()
    assert program.main(["--keep", str(tmp_path / "none.json")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_stage_whose_files_differ_says_so_at_once(tmp_path):
    for folder, text in (("one", "a"), ("other", "b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "differs").write_text(text)
        (tmp_path / folder / "same").write_text("c")
    made = stage("makes", "true", [], ["differs", "same"])
    found = [outputs_of(tmp_path / folder, [made]) for folder in ("one", "other")]
    assert differing(*found) == ["differs"]


def test_the_page_has_a_table_a_part_and_its_failures(tmp_path):
    _, record = checked(tmp_path, "fails", "passes")
    page = section(record)
    assert "Checked on a CPU, 2 cores" in page
    assert "- a fails: far: too far" in page
    assert "| one | passed | 123.5 |" in page


def test_without_git_the_commit_is_not_known(tmp_path):
    assert commit_of(tmp_path) is None


def stage(name: str, command: str, deps: list[str], outs: list[str]) -> Stage:
    return Stage(name, command, deps, outs)


def test_a_stage_that_lacks_a_package_leaves_a_gap_and_one_that_fails_stops_what_needs_it(tmp_path):
    (tmp_path / "project" / "bin").mkdir(parents=True)
    lacking = "echo \"ModuleNotFoundError: No module named 'no_such_package'\" >&2; exit 1"
    stages = [
        stage("maps", lacking, [], ["data/maps", "reports/metrics/maps.json"]),
        stage("probe", "exit 7", [], ["data/results/probe.json"]),
        stage("ap", "touch ap", ["data/results"], ["ap"]),
        stage("report", "touch page", ["data/maps"], ["page"]),
        stage("forgets", "true", [], ["never"]),
    ]
    done = list(run_stages(tmp_path / "project", stages))
    assert [one.status for one in done] == ["skipped", "failed", "skipped", "passed", "failed"]
    assert done[0].why == "it needs no_such_package, which is not installed"
    assert (tmp_path / "project/reports/metrics/maps.json").read_text() == "{}\n"
    assert done[2].why == "it needs what probe makes"
    assert "exit code 7" in done[1].why
    assert "never" in done[4].why


@pytest.mark.parametrize("quick", [True, False])
def test_the_shortened_params_are_params(tmp_path, quick):
    import yaml

    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(short_params("cpu", quick)))))
    params = load_params(path)
    assert all(model.train and model.train.epochs == 1 for model in params.models.values())


@pytest.mark.long
def test_everything_that_can_run_without_a_card_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu_check", "--device", "cpu", "--quick", "--out", str(tmp_path)],
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    record = read_record(tmp_path / "gpu-cpu.json")
    assert list(record["parts"]) == [part.letter for part in PARTS]
    statuses = {letter: part["status"] for letter, part in record["parts"].items()}
    assert set(statuses.values()) == {"passed"}
    same = [
        line for line in record["parts"]["b"]["lines"] if line["what"] == "the same bytes in both folders"
    ]
    assert same[0]["ok"] is True
    assert all(part["lines"] for part in record["parts"].values())
