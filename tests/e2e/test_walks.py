"""Lists of patients walked page by page while others create, rename and delete: each row once, none skipped."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle

import httpx
import pytest
from psycopg2.extras import RealDictCursor

from tests.support import Api, User, patient_body, unique

PAGE = 7
# What the filters look for; who joins or is renamed has it, too.
WORD = unique("Zúñiga")
# Each list: the service, its path, the name of its items, its orders and its filters.
LISTS: list[tuple[str, str, str, str, dict[str, str]]] = [
    ("patients", "/api/v1/patients", "items", caller, {"sort": sort, **filters})
    for caller in ("institution", "doctor", "admin")
    for sort in ("created_at", "last_name")
    for filters in ({"q": WORD}, {"q": WORD, "validation_status": "pending", "born_after": "1970-01-01"})
]
LISTS += [
    ("doctors", "/api/v1/doctors/me/patients", "patients", "doctor", filters)
    for filters in ({}, {"q": WORD}, {"validation_status": "pending"})
]
LISTS += [("institutions", "/api/v1/institutions/patients", "patients", "institution", {})]


@dataclass(frozen=True)
class Ward:
    """Those who stay as they are, those who are renamed, and those who leave, of one doctor."""

    callers: dict[str, User]
    stay: set[str]
    renamed: list[str]
    leave: list[str]


@pytest.fixture(scope="module")
def ward(api: Api, module_owner: RealDictCursor) -> Ward:
    institution = api.new_institution()
    doctor = api.new_doctor(institution)
    module_owner.execute(
        "CREATE TEMPORARY TABLE ward AS SELECT gen_random_uuid() AS id, n FROM generate_series(0, 99) n"
    )
    owners = {"doctor": doctor.id, "institution": institution.id, "word": WORD}
    module_owner.execute(
        """
        INSERT INTO users (id, email, user_type) SELECT id, id || '@example.org', 'patient' FROM ward;
        -- Some of them at one moment and of one name, as after an import: the id alone tells them apart.
        INSERT INTO patients (id, doctor_id, institution_id, first_name, last_name, date_of_birth, created_at)
            SELECT id, %(doctor)s, %(institution)s, 'Fila', %(word)s || ' ' || n / 10, '1980-01-01',
                   now() - (n / 5) * interval '1 minute' FROM ward;
        INSERT INTO emails (entity_type, entity_id, email_address, is_primary)
            SELECT 'patient', id, id || '@example.org', true FROM ward;
        SELECT id::text FROM ward ORDER BY n
        """,
        owners,
    )
    ids = [row["id"] for row in module_owner.fetchall()]
    callers = {"doctor": doctor, "institution": institution, "admin": api.admin}
    return Ward(callers, set(ids[::2]), ids[1::4], ids[3::4])


def test_each_row_once_and_none_skipped_while_others_create_rename_and_delete(ward: Ward) -> None:
    over = threading.Event()
    institution = ward.callers["institution"].patients
    renamed, leave = cycle(ward.renamed), iter(ward.leave)

    def create() -> httpx.Response:
        body = patient_body(last_name=f"{WORD} {unique('A')}", doctor_id=ward.callers["doctor"].id)
        return institution.post("/api/v1/patients", json=body)

    def rename() -> httpx.Response:
        # From before the place of a walk to behind it, and back.
        body = {"last_name": f"{WORD} {next(letters)}{unique('x')}"}
        return institution.put(f"/api/v1/patients/{next(renamed)}", json=body)

    def delete() -> httpx.Response | None:
        patient_id = next(leave, None)
        return patient_id and institution.delete(f"/api/v1/patients/{patient_id}")  # type: ignore[return-value]

    letters = cycle("AZ")

    def keep_on(write: Callable[[], httpx.Response | None]) -> int:
        done = 0
        while not over.is_set() and (answer := write()):
            assert answer.is_success, answer.text
            done += 1
        return done

    with ThreadPoolExecutor(3) as writers:
        running = [writers.submit(keep_on, write) for write in (create, rename, delete)]
        try:
            walks = [(place, list(walk(ward, *place))) for place in LISTS]
        finally:
            over.set()
        assert all(future.result() > 5 for future in running), "they did not write"
    for (_, path, _, caller, parameters), seen in walks:
        times = Counter(seen)
        assert [ward_id for ward_id in ward.stay if times[ward_id] != 1] == [], (path, caller, parameters)
        if parameters.get("sort") == "created_at" or path.endswith("institutions/patients"):
            # Whoever is renamed keeps its place in this order.
            assert [ward_id for ward_id in ward.renamed if times[ward_id] != 1] == [], (path, caller, parameters)
            assert max(times.values()) == 1, (path, caller, parameters)


def walk(ward: Ward, service: str, path: str, items: str, caller: str, parameters: dict[str, str]) -> Iterator[str]:
    """The ids of a list, page by page."""
    client: httpx.Client = getattr(ward.callers[caller], service)
    cursor: dict[str, str] = {}
    while True:
        answer = client.get(path, params={"limit": PAGE, **parameters, **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        yield from (row["id"] for row in page[items])
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}
