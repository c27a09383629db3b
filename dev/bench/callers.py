"""Who calls in the benchmark, with their tokens, and the cursor to the thousandth page."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import cycle, islice

import httpx
import psycopg2

from dev import ROOT, FleetError
from dev.bench.data import Account, Population
from dev.bench.tokens import Pair
from dev.fleet import Fleet
from dev.settings import SERVICE_FOLDERS

PAGE_SIZE = 10  # with which 10,000 patients have a page 1,000
DEEP_PAGE = 1_000
LARGEST_PAGE = 200
# So many different callers take turns on each route, so that no row is the only one asked for.
TURNS = 64


@dataclass(frozen=True)
class Caller:
    """Somebody with an access token."""

    account: Account
    token: str


class Callers:
    """The callers of a loaded fleet. `token_check` is what the check of a token costs, in µs of CPU time."""

    def __init__(self, fleet: Fleet, population: Population) -> None:
        self._environment = fleet.environments["auth"]
        self._accounts = population.patients
        people = [_admin(fleet), *population.doctors, *population.patients[: 2 * TURNS]]
        pairs, self.token_check = _open_sessions(self._environment, people)
        callers = [Caller(account, pair.access) for account, pair in zip(people, pairs, strict=True)]
        self.admin = callers[0]
        self.doctors = callers[1 : 1 + len(population.doctors)]
        patients = callers[1 + len(population.doctors) :]
        # Whose record grows is not read: two workers, the floor and the audit trail would meet longer records.
        self.patients, self.recorders = patients[:TURNS], patients[TURNS:]
        self.emails = [account.email for account in population.patients]
        self.cursor = _cursor(fleet.urls["patients"], self.admin.token)

    def refresh_tokens(self, count: int) -> list[str]:
        """Refresh tokens of so many new sessions."""
        pairs, _ = _open_sessions(self._environment, list(islice(cycle(self._accounts), count)))
        return [pair.refresh for pair in pairs]


def _admin(fleet: Fleet) -> Account:
    with closing(psycopg2.connect(fleet.database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, user_type, email FROM users WHERE user_type = 'admin'")
        return Account(*map(str, cursor.fetchall()[0]))


def _open_sessions(
    environment: Mapping[str, str], accounts: Sequence[Account]
) -> tuple[list[Pair], Mapping[str, float]]:
    """A session for each account, and what its check costs."""
    done = subprocess.run(
        [sys.executable, "-m", "dev.bench.tokens"],
        cwd=ROOT / SERVICE_FOLDERS["auth"],
        env=dict(environment),
        input=json.dumps([(account.id, account.user_type, account.email) for account in accounts]),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise FleetError(f"no sessions for the benchmark: {done.stderr.strip().splitlines()[-1]}")
    answer = json.loads(done.stdout)
    return [Pair(**pair) for pair in answer["pairs"]], answer["cost"]


def _cursor(patients_url: str, token: str) -> str:
    """The cursor to page DEEP_PAGE of all patients, or to the last one where there are fewer; found in big steps."""
    missing, cursor, found = (DEEP_PAGE - 1) * PAGE_SIZE, "", ""
    with httpx.Client(
        base_url=patients_url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, verify=False
    ) as client:
        while missing:
            limit = min(missing, LARGEST_PAGE)
            parameters = {"limit": limit} | ({"cursor": cursor} if cursor else {})
            answer = client.get("/api/v1/patients", params=parameters).raise_for_status()
            found, cursor = cursor or found, answer.json()["next_cursor"] or ""
            if not cursor:
                return found
            missing -= limit
    return cursor
