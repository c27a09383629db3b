"""The file `fleet` itself: what it says before it has a virtual environment."""

import ast
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dev import ROOT
from dev.processes import wait_until


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "fleet"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def test_it_parses_on_an_old_python() -> None:
    ast.parse((ROOT / "fleet").read_text(encoding="utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize("arguments", [[], ["help"], ["--help"]])
def test_help_lists_the_verbs(arguments: list[str], tmp_path: Path) -> None:
    shown = run(*arguments, cwd=tmp_path)
    assert shown.returncode == 0
    for verb in (
        "up",
        "test",
        "check",
        "demo",
        "import DIR",
        "migrate",
        "admin create EMAIL",
        "activations FILE",
        "keys rotate",
        "audit verify",
        "help",
    ):
        assert f"\n  {verb} " in shown.stdout or f"\n  {verb}\n" in shown.stdout


def test_a_mistyped_verb_is_one_line_with_the_nearest() -> None:
    shown = run("chek")
    assert shown.returncode == 2
    assert shown.stderr == "fleet: there is no verb chek (did you mean check?); ./fleet help lists them\n"


@pytest.mark.parametrize("verb", ["restore", "import", "activations"])
def test_a_path_in_the_home_of_nobody_is_one_line(verb: str) -> None:
    shown = run(verb, "~nobody-of-this-name/it")
    assert shown.returncode == 1
    assert shown.stderr == "fleet: ~nobody-of-this-name/it is no path: nobody of that name has a home here\n"


def test_an_old_python_is_told_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, object] = {"__name__": "fleet", "__file__": str(ROOT / "fleet")}
    exec(compile((ROOT / "fleet").read_text(encoding="utf-8"), "fleet", "exec"), namespace)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SystemExit, match=r"fleet: needs Python 3\.11 or newer, this is 3\."):
        namespace["run_with_newer_python"]()  # type: ignore[operator]


PIP = """#!/bin/sh
[ "$3" = pip ] || exit 0
echo begun >> log
while [ ! -e enough ]; do sleep 0.1; done
echo ended >> log
"""


def test_what_a_killed_command_still_installs_is_waited_for(tmp_path: Path) -> None:
    """Else two fill the same environment, or one deletes what the other has written."""
    shutil.copytree(ROOT / "dev", tmp_path / "dev", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "fleet", tmp_path)
    python, log = tmp_path / ".venv" / "bin" / "python", tmp_path / "log"
    python.parent.mkdir(parents=True)
    python.write_text(PIP, encoding="ascii")
    python.chmod(0o755)
    for name in ("requirements.lock", "requirements-dev.lock"):
        (tmp_path / name).touch()
    version = "python{}.{}".format(*sys.version_info)
    stamp = tmp_path / ".venv" / "requirements.lock.stamp"
    stamp.write_text(f"{hashlib.sha256().hexdigest()} {version}\n", encoding="ascii")

    command = [sys.executable, str(tmp_path / "fleet"), "test"]
    try:
        with subprocess.Popen(command) as first:
            assert wait_until(log.exists, 30)
            first.kill()
        second = subprocess.Popen(command)
        assert not wait_until(lambda: "begun\nbegun" in log.read_text(), 2)
    finally:
        (tmp_path / "enough").touch()
    assert second.wait(30) == 0
    assert log.read_text() == "begun\nended\n" * 2
