"""The file `fleet` itself: what it says before it has a virtual environment."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from dev import ROOT


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
