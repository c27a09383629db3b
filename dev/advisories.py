"""Every locked package against the known security advisories, by pip-audit. It asks PyPI: without it, it says so."""

import json
import subprocess
import sys
from typing import Any

from dev import ROOT

NOT_CHECKED = 75  # EX_TEMPFAIL of sysexits.h: neither a pass nor a failure
LOCK = "requirements-dev.lock"  # holds the two others
LONGEST_SECONDS = 240
COMMAND = [
    *(sys.executable, "-m", "pip_audit", "--requirement", LOCK, "--require-hashes", "--disable-pip"),
    *("--format=json", "--progress-spinner=off", "--timeout=10"),
]


def verdict(report: dict[str, Any]) -> tuple[int, str]:
    """The exit status and the text for pip-audit's report."""
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
        return NOT_CHECKED, f"{skipped} of {len(packages)} packages: the index knows nothing of them"
    return 0, f"{len(packages)} packages, no known advisory"


def main() -> int:
    """Run pip-audit and print what it found."""
    try:
        run = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False)
        status, text = verdict(json.loads(run.stdout))
    except (ValueError, KeyError, subprocess.TimeoutExpired):
        status, text = NOT_CHECKED, "PyPI's advisories can't be reached from here"
    print(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
