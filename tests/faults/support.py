"""What the tests of faults share: a clinic whose answers are checked and writes recounted, and ways to take away."""

import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg2

from dev.fleet import Fleet
from dev.processes import Member, wait_until
from tests.support import Api, User, assert_problem, doctor_body, patient_body, unique

CONNECTIONS, PLACES = 4, 24
PROMISED_MS = 5_000  # by the services' own clocks
LONGEST_SECONDS = 7.0  # by the clock of a client, which waits for its turn on a machine that does much else
UNAVAILABLE = {"database_unavailable", "sessions_unavailable", "auth_unavailable", "busy", "deadline_passed"}
SERVICES = ("auth", "doctors", "institutions", "patients")
_FIRST = datetime(2024, 1, 1, tzinfo=UTC)
_numbers = itertools.count()


@dataclass(frozen=True)
class Said:
    """One answer, and how long it took."""

    answer: httpx.Response
    seconds: float

    @property
    def status(self) -> int:
        return self.answer.status_code


def ask(send: Callable[[], httpx.Response]) -> Said:
    """Send a request; a 503 has to be as promised, and no answer takes longer than promised."""
    started = time.monotonic()
    answer = send()
    said = Said(answer, time.monotonic() - started)
    assert said.seconds < LONGEST_SECONDS, f"{answer.request.url} took {said.seconds:.1f} s"
    if answer.status_code == 503:
        assert_problem(answer, 503, answer.json()["code"])
        assert answer.json()["code"] in UNAVAILABLE
        assert int(answer.headers["retry-after"]) >= 1
    return said


@dataclass
class Writes:
    """The answers to writes, and those acknowledged: request id and observation, to be recounted in SQL."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)

    def statuses(self) -> set[int]:
        """The statuses of all answers that came."""
        return {said.status for said in self.said}


@dataclass
class Clinic:
    """A doctor, an institution and four patients."""

    api: Api
    institution: User
    doctor: User
    patients: list[User]

    @classmethod
    def opened(cls, api: Api) -> "Clinic":
        """A new one; each service has verified a token and used both servers."""
        institution = api.new_institution()
        doctor = api.new_doctor(institution)
        clinic = cls(api, institution, doctor, [api.new_patient(doctor, institution) for _ in range(4)])
        assert doctor.auth.get("/auth/sessions").status_code == 200  # the first one compiles what tells devices apart
        clinic.assert_all_works()
        return clinic

    def reads(self) -> dict[str, Callable[[], httpx.Response]]:
        """A read of each service that needs PostgreSQL, and its client's session."""
        patient = self.patients[0]
        return {
            "auth": lambda: self.api.admin.auth.get(f"/users/{self.doctor.id}"),
            "doctors": lambda: self.doctor.doctors.get("/api/v1/doctors/me/patients"),
            "institutions": lambda: self.doctor.institutions.get(f"/api/v1/institutions/{self.institution.id}"),
            "patients": lambda: patient.patients.get(f"/api/v1/patients/{patient.id}/dashboard"),
            "record": lambda: self.doctor.doctors.get(f"/api/v1/doctors/me/patients/{patient.id}/medical-record"),
        }

    def observe(self, patient: User, writes: Writes) -> Said:
        """Record a blood pressure, and keep account of it. What is cut off in the middle raises."""
        request_id = unique("write")
        moment = _FIRST + timedelta(seconds=next(_numbers))
        body = {"code": "8480-6", "value": 120, "unit": "mm[Hg]", "effective_at": moment.isoformat()}
        path = f"/api/v1/patients/{patient.id}/observations"
        said = ask(lambda: patient.patients.post(path, json=body, headers={"X-Request-ID": request_id}))
        writes.said.append(said)
        if said.status == 201:
            writes.acknowledged[request_id] = said.answer.json()["id"]
        return said

    def create_patient(self, email: str | None = None) -> httpx.Response:
        """A creation, which needs the auth service and writes into five tables."""
        body = patient_body(doctor_id=self.doctor.id, contact_phone="55 1000 0001", health_profile={"height_cm": 170})
        if email:
            body["contact_email"] = {"email_address": email}
        return self.doctor.patients.post("/api/v1/patients", json=body)

    def create_doctor(self) -> httpx.Response:
        """Another creation."""
        return self.institution.doctors.post("/api/v1/doctors", json=doctor_body(self.institution.id))

    def assert_all_works(self) -> None:
        """Reads and writes succeed, each at the first try."""
        for name, read in self.reads().items():
            assert ask(read).status == 200, name
        assert self.observe(self.patients[1], Writes()).status == 201
        assert ask(self.create_patient).status == 201
        assert ask(self.create_doctor).status == 201

    @contextmanager
    def busy(self) -> Iterator[tuple[Writes, list[Said]]]:
        """The clinic at work during the block: three who write, three who read, as fast as they are answered."""
        writes, reads, stop = Writes(), list[Said](), threading.Event()
        failures: list[BaseException] = []

        def until_stopped(work: Callable[[], object]) -> None:
            while not stop.is_set():
                try:
                    work()
                except BaseException as failure:
                    failures.append(failure)
                    return

        asked = list(self.reads().values())
        work: list[Callable[[], object]] = [lambda p=p: self.observe(p, writes) for p in self.patients[1:]]  # type: ignore[misc]
        work += [lambda r=r: reads.append(ask(r)) for r in (asked[1], asked[3], asked[4])]  # type: ignore[misc]
        threads = [threading.Thread(target=until_stopped, args=[each]) for each in work]
        for thread in threads:
            thread.start()
        try:
            yield writes, reads
        finally:
            stop.set()
            for thread in threads:
                thread.join(30)
        assert not failures, failures[0]

    def recount(self, database_url: str, writes: Writes) -> None:
        """Whatever was acknowledged is there, whatever was not is there whole or not at all."""
        ids = {"events": [*writes.acknowledged], "observations": [*writes.acknowledged.values()]}
        rows = query(
            database_url,
            """
            SELECT (SELECT count(*) FROM observations WHERE id = ANY (%(observations)s::uuid[])),
                   (SELECT count(DISTINCT request_id) FROM audit_events WHERE request_id = ANY (%(events)s))
            """,
            ids,
        )
        assert rows == [(len(writes.acknowledged),) * 2], "an acknowledged write, or its audit event, is lost"
        # An event says how many observations it tells of.
        rows = query(
            database_url,
            """
            SELECT (SELECT count(*) FROM observations WHERE patient_id = ANY (%(patients)s::uuid[])),
                   (SELECT sum((detail ->> 'count')::int) FROM audit_events
                    WHERE action = 'create' AND detail ? 'count' AND patient_ids && %(patients)s::uuid[])
            """,
            {"patients": [patient.id for patient in self.patients]},
        )
        assert rows[0][0] == rows[0][1], "an observation without its event, or an event without its observation"


def query(database_url: str, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    """The rows of one statement of the owner's, over a connection of its own: the last one may have been killed."""
    connection = psycopg2.connect(database_url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def logged_requests(fleet: Fleet, service: str) -> list[dict[str, Any]]:
    """What a service's log says of each request that it has answered: route, status, id, how long it took."""
    lines = (fleet.data_dir / "logs" / f"{service}.log").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    return [entry for entry in entries if entry["event"] == "request"]


def health(api: Api, service: str) -> dict[str, Any]:
    """What `/health` says; it answers in time and agrees with its own status."""
    client: httpx.Client = getattr(api.anonymous, service)
    started = time.monotonic()
    answer = client.get("/health")
    assert time.monotonic() - started < LONGEST_SECONDS
    document: dict[str, Any] = answer.json()
    assert answer.status_code == (200 if document["status"] == "healthy" else 503)
    assert client.get("/health/live").status_code == 200
    return document


def family(pid: int) -> list[int]:
    """A process and its descendants (those of PostgreSQL serve one connection each)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(each for child in children for each in family(int(child)))]


@contextmanager
def frozen(member: Member) -> Iterator[None]:
    """A member that accepts connections and never answers, until the block ends."""
    assert member.pid is not None
    stopped = family(member.pid)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def stopped(member: Member) -> Iterator[None]:
    """A member that does not run, until the block ends."""
    member.stop()
    try:
        yield
    finally:
        member.start()


def waiting_for_locks(fleet: Fleet) -> int:
    """How many statements of the services wait for a lock."""
    statement = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'predicthealth'"
    )
    return int(query(fleet.database_url, statement, ["predicthealth"])[0][0])


def until(happened: Callable[[], object]) -> None:
    """Return when it has happened; a test that waits in vain fails."""
    assert wait_until(happened, 20), "it does not happen"
