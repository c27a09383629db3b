"""Where rows wait, on disk, until all of a patient or doctor are read: then these alone are in memory.

In a file of SQLite, not in a temporary table of PostgreSQL: every row would travel there and back once more. It gives
nothing away that the CSV files beside it don't have.
"""

import pickle
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import TypeVar
from uuid import UUID

Thing = TypeVar("Thing")


class Spool:
    """Things by the id of a patient or a doctor, in a file without a name, which ends with the process.

    SQLite unlinks it as soon as it is open (only this process can read it, or write what is unpickled) and keeps up to
    2 MB of it in memory. It lies in SQLITE_TMPDIR, TMPDIR, /var/tmp or /tmp: the first that is there. Raises
    sqlite3.OperationalError when there is no room.
    """

    def __init__(self) -> None:
        self._places: dict[UUID, int] = {}
        # Rows of a patient stand together in most files: written together they take half the room.
        self._together: tuple[int, list[object]] = (0, [])
        self._database = sqlite3.connect("")
        self._database.execute("CREATE TABLE things (number INTEGER PRIMARY KEY, place INTEGER, things BLOB)")

    def close(self) -> None:
        """Give the room back."""
        self._database.close()

    def __len__(self) -> int:
        """How many groups there are."""
        return len(self._places)

    def put(self, group: UUID, thing: object) -> None:
        """Add a thing to its group."""
        place = self._places.setdefault(group, len(self._places))
        if place != self._together[0]:
            self._write(place)
        self._together[1].append(thing)

    def groups(self) -> Iterator[tuple[UUID, list[object]]]:
        """Each group with its things: both in the order in which they came."""
        self._write(0)
        rows = self._database.execute("SELECT place, things FROM things ORDER BY place, number")
        for group, (_, found) in zip(self._places, groupby(rows, key=itemgetter(0)), strict=True):
            yield group, [thing for _, things in found for thing in pickle.loads(things)]

    def _write(self, next_place: int) -> None:
        place, things = self._together
        if things:
            values = (place, pickle.dumps(things, pickle.HIGHEST_PROTOCOL))
            self._database.execute("INSERT INTO things (place, things) VALUES (?, ?)", values)
        self._together = (next_place, [])


def of(kind: type[Thing], things: Iterable[object]) -> list[Thing]:
    """The things of one kind."""
    return [thing for thing in things if isinstance(thing, kind)]
