"""The same app, which also writes each statement that it sends, as PostgreSQL gets it, to the file BENCH_STATEMENTS."""

import os
from pathlib import Path
from typing import Any

from shared import postgres
from shared.driver import Connection
from shared.postgres import Parameters, Statement
from shared.prepared import Prepared

from . import main_app

_FILE = Path(os.environ["BENCH_STATEMENTS"])


class RecordedConnection(Connection):
    """A connection that writes down what it runs."""

    async def run(self, statement: Statement, parameters: Parameters | None, *, rows: bool) -> Any:
        """Write it down, and run it."""
        given = statement.given(parameters or {}) if isinstance(statement, Prepared) else statement
        self._write_down(self._raw.cursor().mogrify(given, parameters))
        return await super().run(statement, parameters, rows=rows)

    def _write_down(self, statement: bytes) -> None:
        with _FILE.open("ab") as file:
            file.write(statement + b";\n")


postgres.Connection = RecordedConnection  # type: ignore[attr-defined]
app = main_app()
