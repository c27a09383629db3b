"""What the lists read at 100,000 patients: a few thousand rows at most, whatever is asked, and never a whole table."""

from collections.abc import Callable, Coroutine, Iterator
from datetime import date
from functools import partial
from hashlib import md5
from itertools import product
from typing import Any, Literal
from uuid import UUID

import psycopg2
import pytest
from auth_app import db as auth
from doctors_app import appointments_db
from doctors_app import db as doctors
from institutions_app import db as institutions
from patients_app import appointments_db as patient_appointments_db
from patients_app import db as patients
from patients_app import observations_db, overview_db
from psycopg2.extras import RealDictCursor

from database.roles import SETTINGS
from shared import audit
from shared.caller import Caller
from shared.listing import WIDE_WINDOW, WINDOW
from shared.postgres import Parameters, Row, Statement
from shared.prepared import Prepared

from .conftest import Server
from .crowd import load
from .recording import Recorder

pytestmark = pytest.mark.anyio

PATIENTS = 100_000
MOST_SORTED = 2 * WINDOW  # a tenth of all, as many as the big institution has
MOST_ROWS = WIDE_WINDOW
BIG = ("patients", "users", "emails", "phones", "health_profiles", "observations", "audit_events")


def id_of(who: str) -> UUID:
    """The id of one of the crowd."""
    return UUID(md5(who.encode()).hexdigest())


CALLERS = {
    "admin": Caller("admin", id_of("admin")),
    "big institution": Caller("institution", id_of("institution1")),
    "institution": Caller("institution", id_of("institution7")),
    "doctor": Caller("doctor", id_of("doctor6")),
}
WORDS = ["mar", "garcia", "GARCÍA", "gmail", "hospital-sur", "maria.garcia", "jose hernandez", "zoe xolalpa", "ma"]
WORDS += ["quirino", "nadie se llama así", "maria123", "xk", "z", "q z", "r.g", "- %", "a @", "mx", "@u"]
PATIENT_COLUMNS = ("q", "doctor_id", "institution_id", "validation_status", "born_after", "born_before")
PATIENT_FILTERS: list[dict[str, Any]] = [
    {},
    *({"q": word} for word in WORDS),
    {"validation_status": "pending"},
    {"validation_status": "validated_by_institution"},  # one in 2,000
    {"born_after": date(1980, 3, 3), "born_before": date(1980, 3, 9)},
    {"born_after": date(1980, 1, 1), "born_before": date(1980, 12, 31)},
    {"born_before": date(1900, 1, 1)},
    {"q": "garcia", "born_after": date(1980, 1, 1), "born_before": date(1980, 12, 31)},
    {"q": "quirino", "validation_status": "pending"},
    {"doctor_id": id_of("doctor6"), "q": "maria"},
    {"institution_id": id_of("institution1")},
    {"is_active": False},
    {"is_active": False, "q": "maria"},
]
DOCTOR_FILTERS: list[dict[str, Any]] = [
    {},
    *({"q": word} for word in ("maria", "zoe xolalpa", "nadie", "med-17")),
    {"specialty_id": id_of("nothing"), "min_experience": 3, "max_fee": 100},
    {"institution_id": id_of("institution1"), "professional_status": "active"},
]
INSTITUTION_FILTERS: list[dict[str, Any]] = [{}, {"q": "hospital"}, {"q": "nadie"}, {"country": "MX", "city": "x"}]
ACCOUNT_FILTERS: list[dict[str, Any]] = [
    {},
    *({"q": word} for word in ("maria", "gmail", "nadie", "doctor17@")),
    *({"user_type": user_type} for user_type in ("patient", "doctor", "admin")),
    {"user_type": "doctor", "q": "gmail"},
    {"is_active": False},
]
# Of each order the first page, and one far into the list.
POSITIONS: dict[str, list[list[Any]]] = {
    "created_at": [[None, None], ["2026-01-01T00:00:00Z", id_of("x")]],
    "last_name": [[None, None, None], ["lopez", "maria", id_of("x")]],
    "name": [[None, None], ["hospital m", id_of("x")]],
}
Call = Callable[[Recorder], Coroutine[Any, Any, Any]]


def event_of(caller: Caller) -> dict[str, Any]:
    """The event of a read."""
    return audit.parameters("plans", caller, "read", "list")


def patient_lists() -> Iterator[tuple[str, Call]]:
    """The patients' list: everybody's in each of their scopes, each filter, each order, two positions."""
    for (who, caller), filters, sort in product(CALLERS.items(), PATIENT_FILTERS, ("created_at", "last_name")):
        if who != "admin" and "is_active" in filters:
            continue  # an admin's alone
        scope = {"caller_type": caller.user_type, "caller_id": caller.user_id}
        given = dict.fromkeys(PATIENT_COLUMNS) | {"is_active": True, "sort": sort} | filters
        for after in POSITIONS[sort]:
            yield (
                f"patients of {who} by {sort} {filters} after {after[0]}",
                partial(
                    patients.list_patients,
                    scope=scope,
                    filters=given,
                    after=after,
                    limit=50,
                    event=event_of(caller),
                ),
            )


def other_lists() -> Iterator[tuple[str, Call]]:
    """The lists of doctors, institutions and accounts, and those within one doctor or institution."""
    names = ("q", "specialty_id", "institution_id", "professional_status", "min_experience", "max_fee")
    for (who, caller), filters, sort in product(CALLERS.items(), DOCTOR_FILTERS, ("created_at", "last_name")):
        scope = {"caller_type": caller.user_type, "caller_id": caller.user_id}
        given = dict.fromkeys(names) | {"is_active": True, "sort": sort} | filters
        for after in POSITIONS[sort]:
            yield (
                f"doctors of {who} by {sort} {filters} after {after[0]}",
                partial(doctors.list_doctors, scope=scope, filters=given, after=after, limit=50),
            )
    names = ("q", "institution_type_id", "country", "region", "city", "is_verified", "verification_status")
    for filters, sort in product(INSTITUTION_FILTERS, ("created_at", "name")):
        given = dict.fromkeys(names) | {"sort": sort} | filters
        for after in POSITIONS[sort]:
            yield (
                f"institutions by {sort} {filters} after {after[0]}",
                partial(institutions.list_institutions, filters=given, after=after, limit=50),
            )
    for filters, after in product(ACCOUNT_FILTERS, POSITIONS["created_at"]):
        given = dict.fromkeys(("q", "user_type", "is_active")) | filters
        yield f"accounts {filters} after {after[0]}", partial(auth.list_accounts, filters=given, after=after, limit=50)
    doctor, institution = CALLERS["doctor"], CALLERS["big institution"]
    for word, after in product((None, *WORDS), POSITIONS["last_name"]):
        given = {"q": word, "validation_status": None}
        own = partial(doctors.list_patients, doctor_id=doctor.user_id, filters=given, limit=50, event=event_of(doctor))
        yield f"a doctor's patients {word} after {after[0]}", partial(own, after=after)
    for after in POSITIONS["created_at"]:
        own = partial(institutions.list_patients, institution_id=institution.user_id, limit=50)
        yield f"an institution's patients after {after[0]}", partial(own, after=after, event=event_of(institution))
        own = partial(appointments_db.list_appointments, doctor_id=doctor.user_id, limit=50, event=event_of(doctor))
        for day, status in ((None, None), (None, "cancelled"), (date(2026, 1, 1), None)):
            yield f"appointments of {day}, {status}, {after[0]}", partial(own, day=day, status=status, after=after)
    for after in POSITIONS["last_name"]:
        own = partial(institutions.list_doctors, institution_id=institution.user_id, limit=50)
        yield f"an institution's doctors after {after[0]}", partial(own, after=after)


def parts_of_a_patient() -> Iterator[tuple[str, Call]]:
    """What is read of one patient."""
    admin, patient_id = CALLERS["admin"], id_of("patient77")
    scope = {"caller_type": "admin", "caller_id": admin.user_id}
    whose = {"patient_id": patient_id, "scope": scope, "event": event_of(admin)}
    for find in (
        *(patients.find_patient, overview_db.find_dashboard, overview_db.find_medical_record),
        *(overview_db.find_care_team, overview_db.find_profile),
    ):
        yield find.__name__, partial(find, **whose)
    person = {"first_name": "María", "last_name": "García", "date_of_birth": date(1980, 1, 1)}
    yield "namesakes", partial(patients.find_namesakes, person=person, scope=scope, event=event_of(admin))
    for after in ([None, None], ["2026-01-01T00:00:00Z", id_of("x")]):
        page = {**whose, "after": after, "limit": 50}
        for code in (None, "29463-7"):
            filters = {"code": code, "from": None, "to": None}
            yield f"observations {code} {after[0]}", partial(observations_db.list_observations, filters=filters, **page)
        filters = {"status": None, "from": None, "to": None}
        yield f"appointments {after[0]}", partial(patient_appointments_db.list_appointments, filters=filters, **page)


@pytest.fixture(scope="module")
def crowd(server: Server) -> Iterator[psycopg2.extensions.connection]:
    """A connection to a database with the crowd."""
    url = server.migrated()
    load(url, PATIENTS)
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:  # as a service's role has them
        for name in ("random_page_cost", "plan_cache_mode"):
            cursor.execute("SELECT set_config(%s, %s, false)", (name, SETTINGS[name]))
    yield connection
    connection.close()


async def faults_of(crowd: psycopg2.extensions.connection, call: Call) -> list[str]:
    """What the call's statements read too much of, found out by running them and taking them back."""
    recorder = Recorder()
    await call(recorder)
    faults = []
    with crowd.cursor() as cursor:
        for statement, parameters in recorder.statements:
            cursor.execute("SAVEPOINT before")
            if isinstance(statement, Prepared):
                statement = statement.given(parameters)
            if isinstance(statement, Prepared):
                cursor.execute(statement.preparation)
                statement = statement.execution
            cursor.execute("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) " + str(statement), parameters)
            faults += [fault for node in nodes_of(cursor.fetchone()[0][0]["Plan"]) for fault in faults_in(node)]
            cursor.execute("ROLLBACK TO before")
            cursor.execute("DEALLOCATE ALL")
    return faults


def nodes_of(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes of a plan that were executed."""
    if node["Actual Loops"]:
        yield node
        for child in node.get("Plans", []):
            yield from nodes_of(child)


def faults_in(node: dict[str, Any]) -> Iterator[str]:
    """What is wrong with one node."""
    table, kind = node.get("Relation Name"), node["Node Type"]
    read = node["Actual Loops"] * sum(
        node.get(rows, 0) for rows in ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    )
    if kind == "Seq Scan" and table in BIG:
        yield f"scans {table}"
    if table in BIG and read > MOST_ROWS:
        yield f"reads {read} rows of {table} by {node.get('Index Name', kind)}"
    if kind == "Sort" and node["Plans"][0]["Actual Rows"] > MOST_SORTED:
        yield f"sorts {node['Plans'][0]['Actual Rows']} rows"


@pytest.mark.parametrize("calls", [patient_lists, other_lists, parts_of_a_patient])
async def test_nothing_reads_more_than_a_page_is_worth(
    crowd: psycopg2.extensions.connection, calls: Callable[[], Iterator[tuple[str, Call]]]
) -> None:
    faults = {name: found for name, call in calls() if (found := await faults_of(crowd, call))}
    assert faults == {}, "\n".join(f"{name}: {found}" for name, found in faults.items())


class Runner(Recorder):
    """Runs the statements of lists, in a transaction that nobody commits."""

    def __init__(self, connection: psycopg2.extensions.connection) -> None:
        super().__init__()
        self._connection = connection

    async def fetch_all(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Every row."""
        with self._connection.cursor(cursor_factory=RealDictCursor) as cursor:
            given = statement.given(parameters or {}) if isinstance(statement, Prepared) else statement
            cursor.execute(given, parameters)
            return cursor.fetchall()


# Few and far behind; few and anywhere; some pages within the window, others beyond it; and nobody.
@pytest.mark.parametrize("word", ["hospital-sur", "zoe xolalpa", "wenceslao", "nadie"])
@pytest.mark.parametrize("sort", ["created_at", "last_name"])
async def test_the_pages_hold_every_match_once(
    crowd: psycopg2.extensions.connection, word: str, sort: Literal["created_at", "last_name"]
) -> None:
    order = {"created_at": "created_at DESC, id DESC", "last_name": "search_key(last_name), search_key(first_name), id"}
    with crowd.cursor() as cursor:
        cursor.execute(
            f"SELECT id FROM patients WHERE deleted_at IS NULL AND search_text LIKE ALL (%s) ORDER BY {order[sort]}",
            ([f"%{part}%" for part in word.split()],),
        )
        expected = [row[0] for row in cursor.fetchall()]
    keys, found, after = patients.SORT_KEYS[sort], [], [None] * len(patients.SORT_KEYS[sort])
    filters = dict.fromkeys(PATIENT_COLUMNS) | {"is_active": True, "sort": sort, "q": word}
    scope = {"caller_type": "admin", "caller_id": id_of("admin")}
    event = event_of(CALLERS["admin"])
    while True:
        page = await patients.list_patients(Runner(crowd), scope, filters, after, 170, event)
        found += [row["id"] for row in page[:170]]
        if len(page) <= 170:
            break
        after = [page[169][key] for key in keys]
    crowd.rollback()
    assert found == expected


@pytest.mark.parametrize(
    ("index", "calls"),
    [
        *((f"ix_patients_{name}", patient_lists) for name in ("created", "institution_name_key", "search_text")),
        *((f"ix_patients_{name}", patient_lists) for name in ("date_of_birth", "status_name_key")),
        *((f"ix_users_{name}", other_lists) for name in ("created", "type_created", "search")),
    ],
)
async def test_a_missing_index_is_noticed(
    crowd: psycopg2.extensions.connection, index: str, calls: Callable[[], Iterator[tuple[str, Call]]]
) -> None:
    with crowd.cursor() as cursor:
        cursor.execute(f"DROP INDEX {index}")
    try:
        for _, call in calls():
            if await faults_of(crowd, call):
                return
        pytest.fail(f"nothing reads more without {index}")
    finally:
        crowd.rollback()
