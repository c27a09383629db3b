"""Each fence stops what it is there to stop, and lets pass what looks like it."""

import pytest

from dev import ROOT
from dev.fences import check, check_source

MAIN, DOMAIN, DB = (f"service-doctors/app/{name}.py" for name in ("main", "domain", "db"))
LONG_ROUTE = '@router.get("/x")\nasync def x():\n    """Text.\n\n    More.\n    """\n' + "    a = 1\n" * 9

BREACHES = [
    (MAIN, "import psycopg2", "forbidden-import"),
    (MAIN, "from redis.asyncio import Redis", "forbidden-import"),
    (MAIN, "import httpx", "forbidden-import"),
    (MAIN, "Q = 'SELECT 1 FROM doctors'", "sql-in-main"),
    (MAIN, LONG_ROUTE, "long-route"),
    (MAIN, "try:\n    a()\nexcept KeyError:\n    pass", "try-in-main"),
    (MAIN, "raise HTTPException(404)", "http-exception"),
    (DB, "raise fast.HTTPException(404)", "http-exception"),
    (DOMAIN, "from fastapi import Depends", "forbidden-import"),
    (DOMAIN, "import starlette.requests", "forbidden-import"),
    ("auth-jwt-service/app/tokens.py", "from psycopg2.errors import Error", "forbidden-import"),
    (DB, "import fastapi", "forbidden-import"),
    (DB, "import httpx", "forbidden-import"),
    (DB, "await db.fetch_one(f'SELECT {column} FROM t', {})", "built-sql"),
    (DB, "await db.fetch_all('SELECT ' + column, {})", "built-sql"),
    (DB, "await tx.execute('DELETE FROM t WHERE id = %s' % id)", "built-sql"),
    (DB, "await tx.execute('DELETE FROM {}'.format(table))", "built-sql"),
    (DB, "query = f'UPDATE t SET {column} = 1'", "built-sql"),
    ("shared/audit.py", "await tx.execute(f'DELETE FROM {table}')", "built-sql"),
    (DOMAIN, "from . import main", "points-back"),
    (DOMAIN, "from .main import app", "points-back"),
    (DOMAIN, "import app.db", "foreign-import"),
    (DOMAIN, "from dev.settings import ROOT", "foreign-import"),
    (DOMAIN, "import database.importer", "foreign-import"),
    (DOMAIN, "from tests import helpers", "foreign-import"),
    ("shared/app.py", "from app import domain", "foreign-import"),
    ("shared/app.py", "import database", "foreign-import"),
    ("shared/app.py", "import dev", "foreign-import"),
    (DOMAIN, "import os\nos.environ['X']", "environment"),
    ("shared/redis.py", "import os\nos.getenv('X')", "environment"),
    (DOMAIN, "from os import environ", "environment"),
    (DOMAIN, "print('x')", "print"),
]

CLEAN = [
    (MAIN, "from fastapi import APIRouter\nfrom shared.auth import DoctorCaller\nfrom . import domain"),
    (MAIN, LONG_ROUTE.replace("    a = 1\n", "", 1)),
    (MAIN, "def helper():\n" + "    a = 1\n" * 20),
    (DB, "import psycopg2.errors\nasync def f(db):\n    try:\n        pass\n    except KeyError:\n        pass"),
    (DB, "await db.fetch_one(SELECT_DOCTOR + ORDER, {})\nGET = 'SELECT ' + _COLUMNS + ' FROM t'"),
    (DB, "from psycopg2 import sql\nawait tx.execute(sql.SQL('SELECT {}').format(sql.Identifier(name)))"),
    (DOMAIN, "text = f'Updated {name}'"),
    ("shared/audit.py", "def audited(select):\n    return 'WITH t AS (' + select + ') SELECT * FROM t'"),
    ("shared/settings.py", "import os\nos.environ"),
    ("auth-jwt-service/app/admin.py", "import os\nprint(os.environ['ADMIN_EMAIL'])"),
    ("database/migrate.py", "import os\nprint(os.environ['DATABASE_URL'])"),
]


@pytest.mark.parametrize(("path", "source", "rule"), BREACHES)
def test_a_breach_is_named_with_its_place_and_rule(path: str, source: str, rule: str) -> None:
    breaches = check_source(path, source)
    assert [breach.rule for breach in breaches] == [rule]
    assert str(breaches[0]).startswith(f"{path}:{breaches[0].line} {rule} ")


@pytest.mark.parametrize(("path", "source"), CLEAN)
def test_what_only_looks_like_a_breach_passes(path: str, source: str) -> None:
    assert check_source(path, source) == []


def test_the_checkout_keeps_its_own_fences() -> None:
    assert [str(breach) for breach in check(ROOT)] == []
