"""What the tests of whole walks share."""

from collections.abc import Iterator

import psycopg2
import pytest
from psycopg2.extras import RealDictCursor

from dev.fleet import Fleet


@pytest.fixture(scope="module")
def module_owner(fleet: Fleet) -> Iterator[RealDictCursor]:
    """As `owner`, for fixtures of a module."""
    connection = psycopg2.connect(fleet.database_url, cursor_factory=RealDictCursor)
    connection.autocommit = True
    with connection.cursor() as cursor:
        yield cursor
    connection.close()
