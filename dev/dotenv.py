"""`./fleet secrets`: the root's `.env` for docker compose. Needs no package, only a Python."""

import os
import secrets
from collections.abc import Sequence

from dev import ROOT, FleetError
from dev.settings import DEFAULT_ADMIN_EMAIL, SECRET_NAMES
from dev.signing import new_key

FILE = ROOT / ".env"
# Only where tokens are signed with a shared secret (JWT_ALGORITHM=HS256); compose's default is the private key.
UNUSED = {"JWT_SECRET_KEY"}
HEADER = """\
# Secrets of the containers, made by ./fleet secrets; .env.example explains each line. Nobody else may read this file.
"""


def run(arguments: Sequence[str]) -> int:
    """Write the file once; `print` shows a fresh one, to take a line from when a secret is to be changed."""
    if list(arguments) == ["print"]:
        print(text(), end="")
        return 0
    if arguments:
        raise FleetError("usage: ./fleet secrets [print]")
    try:
        descriptor = os.open(FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise FleetError(f"{FILE} exists and is left as it is") from error
    except OSError as error:
        raise FleetError(f"can't write {FILE}: {(error.strerror or str(error)).lower()}") from error
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text())
    print(
        f"Fresh secrets are in {FILE}, the first admin's password among them (ADMIN_PASSWORD). Keep a copy of it safe."
    )
    print("Next: docker compose up -d --wait")
    return 0


def text() -> str:
    """The lines of a new file. Letters, digits, - and _ alone: most of it becomes part of URLs."""
    values = {"ADMIN_EMAIL": DEFAULT_ADMIN_EMAIL}
    values |= {name: secrets.token_urlsafe(32) for name in SECRET_NAMES if name not in UNUSED}
    values |= {name: secrets.token_urlsafe(12) for name in ("ADMIN_PASSWORD", "GRAFANA_PASSWORD")}
    # Between double quotes compose reads \\n as the end of a line.
    values["JWT_PRIVATE_KEY"] = '"' + new_key().replace("\n", "\\n") + '"'
    return HEADER + "".join(f"{name}={value}\n" for name, value in values.items())
