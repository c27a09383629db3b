"""What pgbench is given, and how it runs it, on the PostgreSQL of the tests."""

from pathlib import Path

import pytest
from psycopg2.extras import RealDictCursor

from dev.bench import floor
from dev.fleet import Fleet

pytestmark = pytest.mark.skipif(not floor.pgbench(), reason="pgbench is not installed")

ONCE = r"""
\if :ph_floor = 0
PREPARE ph_floor AS INSERT INTO floor_scratch VALUES ($1);
\set ph_floor 1
\endif
"""


def test_each_connection_prepares_a_statement_once_for_all_scripts(
    fleet: Fleet, owner: RealDictCursor, tmp_path: Path
) -> None:
    owner.execute("DROP TABLE IF EXISTS floor_scratch; CREATE TABLE floor_scratch (n integer)")
    scripts = [tmp_path / f"{number}.sql" for number in range(3)]
    for number, script in enumerate(scripts):
        script.write_text(f"{ONCE}EXECUTE ph_floor ({number});\n", encoding="utf-8")
    rate = floor.measure(fleet.database_url, scripts, 2, 1)
    owner.execute("SELECT count(DISTINCT n) AS scripts, count(*) AS runs FROM floor_scratch")
    found = owner.fetchone()
    assert rate and found and found["scripts"] == 3 and found["runs"] > 3


@pytest.mark.parametrize(
    ("recorded", "runs"),
    [
        ("EXECUTE a (ARRAY['{new}'::uuid], '{old}'::uuid);", "EXECUTE a (ARRAY[gen_random_uuid()], '{old}'::uuid);"),
        ("EXECUTE a (ARRAY['{old}'::uuid], '{old}'::uuid);", "EXECUTE a (ARRAY['{old}'::uuid], '{old}'::uuid);"),
    ],
)
def test_only_a_row_that_the_request_made_is_another_one_each_time(recorded: str, runs: str, tmp_path: Path) -> None:
    ids = {"new": "6f1c0bd0-0000-4000-8000-000000000001", "old": "6f1c0bd0-0000-4000-8000-000000000002"}
    script = floor._script(tmp_path / "script.sql", recorded.format(**ids))
    assert script.read_text(encoding="utf-8") == runs.format(**ids)
