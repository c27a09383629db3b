"""Creates admins: `python -m app.admin create EMAIL`, or `ensure` for the first one (ADMIN_EMAIL, ADMIN_PASSWORD)."""

import argparse
import asyncio
import getpass
import os
import sys

from pydantic import TypeAdapter, ValidationError

from shared import errors
from shared.settings import load
from shared.text import Email, Password

from .accounts import create_admin
from .resources import AuthResources
from .settings import AuthSettings


def main(arguments: list[str]) -> int:
    """The command line: prints `created` or `exists`; 1 with one line on standard error for what is refused."""
    parser = argparse.ArgumentParser(prog="admin")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("create").add_argument("email")
    verbs.add_parser("ensure", help="create the admin of ADMIN_EMAIL and ADMIN_PASSWORD unless there is an admin")
    options = parser.parse_args(arguments)
    first = options.verb == "ensure"
    email = os.environ.get("ADMIN_EMAIL", "") if first else options.email
    password = os.environ.get("ADMIN_PASSWORD") or ("" if first else getpass.getpass("Password / Contraseña: "))
    try:
        email, password = TypeAdapter(Email).validate_python(email), TypeAdapter(Password).validate_python(password)
        created = asyncio.run(_create(email, password, only_first=first))
    except ValidationError:
        print("admin: ADMIN_EMAIL or ADMIN_PASSWORD is not valid", file=sys.stderr)
        return 1
    except errors.Problem as exc:
        print(f"admin: {exc.en.format(**exc.parameters)}", file=sys.stderr)
        return 1
    print("created" if created else "exists")
    return 0


async def _create(email: str, password: str, *, only_first: bool) -> bool:
    resources = AuthResources.open("auth-jwt-service", load(AuthSettings))
    try:
        return await create_admin(resources, email, password, only_first=only_first)
    finally:
        await resources.close()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
