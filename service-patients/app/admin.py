"""Computes every stored score anew: `python -m app.admin scores recompute`, with the service's own environment.

For every night (scores age with birthdays and years since quitting), after an import and after a change of the model's
version. Safe while the services serve, and to interrupt and run again.
"""

import argparse
import asyncio
import sys
from uuid import uuid4

from tqdm import tqdm

from shared import context, errors
from shared.postgres import Database
from shared.settings import ClientSettings, load

from . import scores, scores_db


def main(arguments: list[str]) -> int:
    """The command line: 1 with one line on standard error when the database can't be reached."""
    parser = argparse.ArgumentParser(prog="admin")
    verbs = parser.add_subparsers(dest="noun", required=True).add_parser("scores").add_subparsers(required=True)
    verbs.add_parser("recompute", help="compute every stored score anew")
    parser.parse_args(arguments)
    context.enter(context.RequestContext(request_id=f"recompute-{uuid4()}"))
    try:
        count = asyncio.run(_recompute(load(ClientSettings)))
    except errors.Problem as exc:
        print(f"admin: {exc.en.format(**exc.parameters)} Run this again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nadmin: stopped; what was computed is stored, run this again for the rest", file=sys.stderr)
        return 130
    print(f"scores computed: {count}")
    return 0


async def _recompute(settings: ClientSettings) -> int:
    database, count = Database(settings), 0
    try:
        with tqdm(total=await scores_db.count_patients(database), desc="scores", unit="", disable=None) as bar:
            async for number in scores.recompute(database):
                count += number
                bar.update(number)
        return count
    finally:
        database.close()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
