"""The commands of operators, as `python -m app.admin VERB`.

`create EMAIL` makes an admin, `ensure` the first one (ADMIN_EMAIL, ADMIN_PASSWORD); `activations FILE` writes a token
for each account whose first password may be set.
"""

import argparse
import asyncio
import csv
import getpass
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from shared import errors
from shared.settings import load
from shared.text import Email, Password

from . import activation
from .accounts import create_admin
from .resources import AuthResources
from .settings import AuthSettings

Result = TypeVar("Result")


def main(arguments: list[str]) -> int:
    """The command line: prints what it did; 1 with one line on standard error for what is refused."""
    parser = argparse.ArgumentParser(prog="admin")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("create").add_argument("email")
    verbs.add_parser("ensure", help="create the admin of ADMIN_EMAIL and ADMIN_PASSWORD unless there is an admin")
    verbs.add_parser("activations", help="write their tokens to a new CSV file").add_argument("file", type=Path)
    options = parser.parse_args(arguments)
    try:
        if options.verb == "activations":
            print(f"Activation tokens for {_write_activations(options.file)} accounts are in {options.file}.")
        else:
            print("created" if _create_admin(getattr(options, "email", None)) else "exists")
    except ValidationError:
        print("admin: ADMIN_EMAIL or ADMIN_PASSWORD is not valid", file=sys.stderr)
        return 1
    except OSError as exc:
        print(f"admin: {exc}", file=sys.stderr)
        return 1
    except errors.Problem as exc:
        print(f"admin: {exc.en.format(**exc.parameters)}", file=sys.stderr)
        return 1
    return 0


def _create_admin(given: str | None) -> bool:
    """Create the admin of the e-mail given, else the first one; False where there is one already."""
    email = os.environ.get("ADMIN_EMAIL", "") if given is None else given
    password = os.environ.get("ADMIN_PASSWORD") or ("" if given is None else getpass.getpass("Password / Contraseña: "))
    email, password = TypeAdapter(Email).validate_python(email), TypeAdapter(Password).validate_python(password)
    return asyncio.run(_with_resources(lambda res: create_admin(res, email, password, only_first=given is None)))


def _write_activations(path: Path) -> int:
    """Write a new file that only its owner may read; how many accounts there are in it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            rows = asyncio.run(_with_resources(activation.issue_all))
            writer = csv.DictWriter(file, ["user_id", "user_type", "email", "activation_token", "expires_at"])
            writer.writeheader()
            writer.writerows(rows)
    except BaseException:
        path.unlink()
        raise
    return len(rows)


async def _with_resources(work: Callable[[AuthResources], Awaitable[Result]]) -> Result:
    resources = AuthResources.open("auth-jwt-service", load(AuthSettings))
    try:
        return await work(resources)
    finally:
        await resources.close()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
