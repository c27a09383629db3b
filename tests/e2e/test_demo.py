"""`./fleet demo` on the running fleet, and the lines that it prints, pasted into a shell."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dev import ROOT
from dev.fleet import Fleet


def test_the_printed_lines_show_each_dashboard(fleet: Fleet, tmp_path: Path) -> None:
    demo = [sys.executable, "-m", "database.importer", "database/samples/synthea60", "--demo"]
    urls = {f"{name.upper()}_SERVICE_URL": url for name, url in fleet.urls.items()}
    environment = {**os.environ, **urls, "DATABASE_URL": fleet.database_url}
    command = [*demo, "--passwords", str(tmp_path / "demo.env")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    if subprocess.run(["which", "curl"], capture_output=True).returncode:
        pytest.skip("no curl on this machine to paste the lines into")
    blocks = re.findall(r"^TOKEN=.*?json\.tool[^\n]*$", done.stdout, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    shown = [
        json.loads(subprocess.run(["bash", "-c", block], capture_output=True, check=True).stdout) for block in blocks
    ]
    doctor, patient, institution = shown
    assert doctor["total_patients"] >= 2
    assert patient["patient"]["first_name"] and patient["conditions"]
    assert institution["patients"]
