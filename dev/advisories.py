"""Every locked package against the known security advisories, by pip-audit. It asks PyPI: without it, it says so."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from dev import ROOT

NOT_CHECKED = 75  # EX_TEMPFAIL of sysexits.h: neither a pass nor a failure
LOCK = "requirements-dev.lock"  # holds all the others
LONGEST_SECONDS = 120


def main() -> int:
    """Ask about every pin, print what is known, and return the exit status."""
    pins = re.findall(r"^[a-z0-9-]+==[^\s;\\]+", (ROOT / LOCK).read_text(encoding="utf-8"), re.MULTILINE)
    try:
        # A mirror without advisories knows nothing of any package: one question tells, a hundred need not be asked.
        status, text = verdict(ask(pins[:1]))
        if status != NOT_CHECKED:
            status, text = verdict(ask(pins))
    except (ValueError, subprocess.TimeoutExpired):
        status, text = NOT_CHECKED, "PyPI can't be reached from here"
    print(text)
    return status


def ask(pins: Sequence[str]) -> dict[str, Any]:
    """pip-audit's report; ValueError if it gave none."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as requirements:
        requirements.write("\n".join(pins))
        requirements.flush()
        command = [sys.executable, "-m", "pip_audit", "--requirement", requirements.name, "--no-deps", "--disable-pip"]
        options = ["--format=json", "--progress-spinner=off", "--timeout=10"]
        run = subprocess.run([*command, *options], capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False)
    report: dict[str, Any] = json.loads(run.stdout)
    return report


def verdict(report: dict[str, Any]) -> tuple[int, str]:
    """The exit status and the text for a report."""
    packages = report["dependencies"]
    found = [
        f"{package['name']} {package['version']}: {advisory['id']}, fixed in {' '.join(advisory['fix_versions'])}"
        for package in packages
        for advisory in package.get("vulns", ())
    ]
    skipped = sum("skip_reason" in package for package in packages)
    if found:
        return 1, "\n".join(found)
    if skipped:
        return NOT_CHECKED, f"the index knows nothing of {skipped} of {len(packages)} packages asked for"
    return 0, f"{len(packages)} packages, no known advisory"


if __name__ == "__main__":
    sys.exit(main())
