"""The CSV files: their rows, where each stands, and the account of what became of it.

A file or a row that can't be used is reported and the rest goes on. No report quotes a row: its values are a person's.
"""

import csv
import sys
import unicodedata
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar
from uuid import UUID

from pydantic_core import PydanticCustomError
from tqdm import tqdm

from shared.text import check_characters

LONGEST_TEXT = 200
# A record may span lines, by a line break between quotation marks; further than this, one was left open.
LONGEST_RECORD_LINES = 20

Item = TypeVar("Item")
Value = TypeVar("Value")


class RowError(Exception):
    """Why a row can't be loaded. It names columns, never values."""


class Source(NamedTuple):
    """Where a row stands. What is made of a row keeps this, not the row: its cells would fill the memory."""

    file: str
    line: int


@dataclass(frozen=True)
class Row:
    """One record of a file. Column names are in capitals; a column that the file lacks reads as empty."""

    file: str
    line: int
    cells: dict[str, str]
    remarks: list[str] = field(default_factory=list)

    @property
    def source(self) -> Source:
        """Where it stands."""
        return Source(self.file, self.line)

    def find_text(self, column: str, longest: int = LONGEST_TEXT) -> str | None:
        """The trimmed text of a cell; None when it is empty."""
        text = unicodedata.normalize("NFC", self.cells.get(column, "").replace("\r\n", "\n")).strip()
        try:
            check_characters(text)
        except PydanticCustomError as error:
            raise RowError(f"{column} has control characters or is not UTF-8") from error
        if len(text) > longest:
            raise RowError(f"{column} has more than {longest} characters")
        return text or None

    def text(self, column: str, longest: int = LONGEST_TEXT) -> str:
        """The text of a cell that must not be empty."""
        return self._needed(column, self.find_text(column, longest))

    def find_id(self, column: str) -> UUID | None:
        """The UUID in a cell; None when it is empty."""
        text = self.find_text(column)
        try:
            return UUID(text) if text else None
        except ValueError as error:
            raise RowError(f"{column} is not a UUID") from error

    def id(self, column: str) -> UUID:
        """The UUID in a cell that must not be empty."""
        return self._needed(column, self.find_id(column))

    def find_moment(self, column: str) -> datetime | None:
        """The time in a cell, in UTC; a date alone is its midnight. None when it is empty."""
        text = self.find_text(column)
        try:
            moment = datetime.fromisoformat(text) if text else None
            if moment is None:
                return None
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (ValueError, OverflowError) as error:
            raise RowError(f"{column} is not a date (YYYY-MM-DD) or a time") from error

    def moment(self, column: str) -> datetime:
        """The time in a cell that must not be empty."""
        return self._needed(column, self.find_moment(column))

    def find_date(self, column: str) -> date | None:
        """The date in a cell; None when it is empty."""
        moment = self.find_moment(column)
        return moment.date() if moment else None

    def date(self, column: str) -> date:
        """The date in a cell that must not be empty."""
        return self.moment(column).date()

    def find_number(self, column: str) -> Decimal | None:
        """The finite number in a cell; None when it is empty."""
        text = self.find_text(column)
        try:
            number = Decimal(text) if text else None
        except InvalidOperation as error:
            raise RowError(f"{column} is not a number") from error
        if number is not None and not number.is_finite():
            raise RowError(f"{column} is not a number")
        return number

    def number(self, column: str) -> Decimal:
        """The finite number in a cell that must not be empty."""
        return self._needed(column, self.find_number(column))

    def optional(self, what: str, value: Callable[[], Value]) -> Value | None:
        """A value that the row can do without: what is wrong with it becomes a remark."""
        try:
            return value()
        except RowError as error:
            self.remarks.append(f"loaded without its {what}: {error}")
            return None

    def _needed(self, column: str, value: Value | None) -> Value:
        if value is None:
            raise RowError(f"{column} is empty")
        return value


@dataclass
class Tally:
    """What became of a file's rows; `rows` is the sum of the others."""

    rows: int = 0
    new: int = 0
    known: int = 0
    passed_over: int = 0
    refused: int = 0


@dataclass
class Report:
    """What a run did, file by file."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    # The lines of each file, by what is to be said of them.
    refusals: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    remarks: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __getitem__(self, file: str) -> Tally:
        return self.tallies.setdefault(file, Tally())

    def refuse(self, file: str, line: int, reason: str) -> None:
        """A row can't be loaded."""
        self[file].refused += 1
        self.refusals.setdefault((file, reason), []).append(line)

    def count(self, file: str, added: bool) -> None:
        """A row is in the database: `added` now, or known before."""
        if added:
            self[file].new += 1
        else:
            self[file].known += 1

    @property
    def refused(self) -> int:
        """How many rows can't be loaded."""
        return sum(tally.refused for tally in self.tallies.values())

    @property
    def loaded(self) -> int:
        """How many rows are in the database, new or from before."""
        return sum(tally.new + tally.known for tally in self.tallies.values())


def read(directory: Path, file: str, columns: set[str], report: Report) -> Iterator[Row]:
    """The rows of a file that has at least `columns`; a file that can't be read has none, and a note says why."""
    try:
        with (directory / file).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            header = [name.strip().upper() for name in parse(next(lines, "")) or []]
            missing = sorted(columns - set(header))
            if missing:
                report.notes.append(f"{file} has no column {', '.join(missing)}: nothing is loaded from it")
                return
            size = (directory / file).stat().st_size
            with tqdm(total=size, desc=file, unit="B", unit_scale=True, disable=None) as bar:
                for number, text, cells in split_records(lines, len(header)):
                    bar.update(len(text))
                    report[file].rows += 1
                    if cells is None:
                        report.refuse(file, number, "its columns are not those of the first line")
                    else:
                        yield Row(file, number, dict(zip(header, cells, strict=True)))
    except FileNotFoundError:
        report.notes.append(f"{file} is not there: nothing is loaded from it")
    except OSError as error:
        report.notes.append(f"{file} can't be read ({(error.strerror or 'error').lower()}): nothing is loaded from it")
    else:
        if not sys.stderr.isatty():
            print(f"{file}: {report[file].rows} rows read", flush=True)


def split_records(lines: Iterable[str], width: int) -> Iterator[tuple[int, str, list[str] | None]]:
    """The records after the first line: the number of its first line, its text, its cells (None: not `width` of them).

    A quotation mark that nobody closes spoils its own line only, not the rest of the file.
    """
    source = iter(lines)
    ahead: deque[str] = deque()
    number = 2
    while ahead or (ahead := deque(islice(source, 1))):
        taken = 1
        while sum(line.count('"') for line in islice(ahead, taken)) % 2 and taken < LONGEST_RECORD_LINES:
            if taken == len(ahead):
                ahead.extend(islice(source, 1))
            if taken == len(ahead):
                break
            taken += 1
        cells = parse("".join(islice(ahead, taken)))
        if cells is None or len(cells) != width:
            taken = 1
            cells = parse(ahead[0])
        text = "".join(ahead.popleft() for _ in range(taken))
        if text.strip():
            yield number, text, cells if cells is not None and len(cells) == width else None
        number += taken


def parse(text: str) -> list[str] | None:
    """The cells of one record; None when it is not one."""
    try:
        return next(csv.reader([text], strict=True), None)
    except csv.Error:
        return None


def parsed(rows: Iterable[Row], parse_row: Callable[[Row], Item], report: Report) -> Iterator[Item]:
    """What `parse_row` makes of each row; the others are refused."""
    for row in rows:
        try:
            item = parse_row(row)
        except RowError as error:
            report.refuse(row.file, row.line, str(error))
            continue
        for remark in row.remarks:
            report.remarks.setdefault((row.file, remark), []).append(row.line)
        yield item


def of_known_patient(parse_row: Callable[[Row], Item], known: Container[UUID]) -> Callable[[Row], Item]:
    """`parse_row` for rows of the patients in `known`; the others are refused."""

    def parse(row: Row) -> Item:
        if row.id("PATIENT") not in known:
            raise RowError("its PATIENT is not loaded")
        return parse_row(row)

    return parse


def ranges(lines: Iterable[int]) -> str:
    """Line numbers in short: `3-5, 9`."""
    spans: list[list[int]] = []
    for line in sorted(lines):
        if spans and line == spans[-1][1] + 1:
            spans[-1][1] = line
        else:
            spans.append([line, line])
    return ", ".join(f"{first}-{last}" if last > first else str(first) for first, last in spans)
