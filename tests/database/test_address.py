"""The commands that are given a database tell what is wrong with its address, and show nothing of it."""

import os
import subprocess
import sys

import pytest

from dev import ROOT

COMMANDS = {"audit": ["database.audit"], "migrate": ["database.migrate"], "importer": ["database.importer", "--demo"]}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "is not set"),
        ("postgresql://owner:Agua%Fria@127.0.0.1:5432/clinica", "must be postgresql://user:password@host:5432/name"),
        ("postgresql://owner:Agua/Fria@127.0.0.1:5432/clinica", "must be postgresql://user:password@host:5432/name"),
    ],
)
def test_a_missing_or_unreadable_address_is_one_line_without_a_word_of_it(name: str, url: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *COMMANDS[name]],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{name}: DATABASE_URL {said}") and done.stderr.count("\n") == 1
    assert "Agua" not in done.stderr and "Fria" not in done.stderr
