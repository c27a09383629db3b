"""Whatever is sent to an operation: no 5xx, a problem document without internals or echoes, nothing stored half."""

import asyncio
import json
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx
import pytest
from psycopg2.extras import RealDictCursor

from tests.declared import check_answer, document
from tests.hostile.corpus import MARKER, Attack, Operation, operations
from tests.support import Api, User

SERVICES = ("auth", "doctors", "institutions", "patients")
CONNECTIONS = 6
INTERNALS = re.compile(
    r"traceback|psycopg|pydantic|fastapi|starlette|asyncio|sqlstate|redis|postgres|127\.0\.0\.1|\.py\b", re.I
)

# What refused requests may add: their trail.
COUNTS = """
    SELECT relname, query_to_xml(format('SELECT count(*) FROM %I', relname), false, true, '')::text AS rows
    FROM pg_stat_user_tables WHERE relname NOT LIKE 'audit%' ORDER BY relname
"""
# Rows that belong to nobody, and people without what every one of them is created with.
HALVES = """
    SELECT 'contact of nobody' AS what, count(*) FROM (
        SELECT entity_id FROM emails UNION ALL SELECT entity_id FROM phones UNION ALL SELECT entity_id FROM addresses) c
    WHERE NOT EXISTS (SELECT FROM patients WHERE id = entity_id)
      AND NOT EXISTS (SELECT FROM doctors WHERE id = entity_id)
      AND NOT EXISTS (SELECT FROM medical_institutions WHERE id = entity_id)
    UNION ALL
    SELECT 'person without e-mail', count(*) FROM (
        SELECT id FROM patients UNION ALL SELECT id FROM doctors UNION ALL SELECT id FROM medical_institutions) p
    WHERE NOT EXISTS (SELECT FROM emails WHERE entity_id = p.id)
    UNION ALL
    SELECT 'person without account', count(*) FROM (
        SELECT id FROM patients UNION ALL SELECT id FROM doctors UNION ALL SELECT id FROM medical_institutions) p
    WHERE NOT EXISTS (SELECT FROM users WHERE id = p.id)
"""


class Victims:
    """Whom the attacks are about, and as whom they are made."""

    def __init__(self, api: Api) -> None:
        institution = api.new_institution()
        doctor = api.new_doctor(institution)
        patient = api.new_patient(doctor, institution)
        self._api, self._guest = api, api.new_institution()
        self._users = {"admin": api.admin, "institution": institution, "doctor": doctor, "patient": patient}
        self.ids = {"institution_id": institution.id, "doctor_id": doctor.id, "patient_id": patient.id}
        self.ids["user_id"] = self._guest.id

    def token(self, operation: Operation) -> str:
        """The token of somebody who may; of somebody else's session where sessions end."""
        if operation.path.startswith("/auth/"):
            return self._api.log_in("institutions", self._guest.email).token
        return self._user(operation).token

    def _user(self, operation: Operation) -> User:
        return self._users["admin" if "admin" in operation.roles or not operation.roles else operation.roles[0]]


@pytest.mark.parametrize("service", SERVICES)
def test_no_hostile_request_harms(service: str, api: Api, owner: RealDictCursor) -> None:
    victims = Victims(api)
    # Deletions last: the others need who is deleted.
    every = sorted(operations(document(service), victims.ids), key=lambda operation: operation.method == "delete")
    attacks = [(operation, attack) for operation in every for attack in operation.attacks()]
    tokens = {id(operation): victims.token(operation) for operation in every}
    must_fail = [pair for pair in attacks if pair[1].must_fail]
    may_pass = [pair for pair in attacks if not pair[1].must_fail]
    owner.execute(COUNTS)
    before = owner.fetchall()
    faults = asyncio.run(_send_all(service, api.urls[service], tokens, must_fail))
    owner.execute(COUNTS)
    assert owner.fetchall() == before
    faults += asyncio.run(_send_all(service, api.urls[service], tokens, may_pass))
    assert not faults, f"{len(faults)} of {len(attacks)}:\n" + "\n".join(faults[:60])
    owner.execute(HALVES)
    assert {row["what"]: row["count"] for row in owner.fetchall()} == dict.fromkeys(
        ("contact of nobody", "person without e-mail", "person without account"), 0
    )


@pytest.mark.parametrize("service", SERVICES)
def test_what_the_attacks_spoil_is_valid(service: str, api: Api) -> None:
    """Else it would be refused for that, whatever an attack does to it; it is what `/docs` fills in, too."""
    victims = Victims(api)
    every = [operation for operation in operations(document(service), victims.ids) if operation.takes_json]
    for operation in every:
        headers = {"Authorization": f"Bearer {victims.token(operation)}"}
        url = api.urls[service] + operation.target()
        answer = httpx.request(operation.method, url, json=operation.body, headers=headers, timeout=20, verify=False)
        assert answer.status_code not in (400, 422), f"{operation.method} {operation.path}: {answer.text}"


async def _send_all(
    service: str, url: str, tokens: Mapping[int, str], attacks: list[tuple[Operation, Attack]]
) -> list[str]:
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 0
    waiting, faults = iter(attacks), list[str]()

    async def work() -> None:
        connection = _Connection(host, port)
        for operation, attack in waiting:
            status, headers, body = await connection.send(attack, tokens[id(operation)])
            try:
                _judge(service, operation, attack, status, headers, body)
            except Exception as exc:
                faults.append(f"{attack.method} {operation.path}, {attack.name}: {str(exc)[:400]}")
        connection.close()

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return faults


def _judge(
    service: str, operation: Operation, attack: Attack, status: int, headers: Mapping[str, str], body: bytes
) -> None:
    assert status < 500, f"{status} {body!r}"
    assert status != 401 or operation.path.startswith("/auth/"), "nobody got in"
    if status < 300:
        assert not attack.must_fail, f"{status} {body[:200]!r}"
        return
    assert headers.get("content-type") == "application/problem+json" or status == 304, headers
    if attack.method == "HEAD":
        return
    answer = json.loads(body)
    if attack.mistyped:
        assert (attack.mistyped, "type") in [(e["field"], e["code"]) for e in answer.get("errors", ())], answer
    answer.pop("instance")  # the path, as RFC 9457 has it
    sent_back = json.dumps([answer, headers], ensure_ascii=False)
    assert MARKER not in sent_back, sent_back
    assert not INTERNALS.search(sent_back), sent_back
    if attack.method == operation.method.upper() and status not in (404, 405):
        check_answer(service, operation.path, operation.method, status, headers["content-type"], body)
    else:
        assert {"type", "title", "status", "detail", "code", "request_id"} <= set(answer)


class _Connection:
    """HTTP/1.1 by hand: clients of libraries refuse to send half of this."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, attack: Attack, token: str) -> tuple[int, dict[str, str], bytes]:
        """The answer to an attack: its status, headers in lower case, and body."""
        self._streams = self._streams or await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        headers = {"Host": "fleet", "Authorization": f"Bearer {token}", "Content-Length": str(len(attack.body))}
        lines = [
            f"{attack.method} {attack.target} HTTP/1.1",
            *(f"{k}: {v}" for k, v in (headers | dict(attack.headers)).items()),
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + attack.body)
        async with asyncio.timeout(30):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            answer = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            size = 0 if attack.method == "HEAD" else int(answer.get("content-length", 0))
            body = await reader.readexactly(size)
        if answer.get("connection") == "close":
            self.close()
        return int(head[0].split()[1]), answer, body

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._streams:
            self._streams[1].close()
            self._streams = None
