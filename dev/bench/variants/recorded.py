"""The same app, which also writes each statement that it sends, as PostgreSQL gets it, to the file BENCH_STATEMENTS.

That is a pgbench script, in which each connection prepares a statement once, as the app's do.
"""

import os
from pathlib import Path
from typing import Any

from shared import postgres
from shared.driver import Connection
from shared.postgres import Parameters, Statement
from shared.prepared import Prepared

from . import main_app

_FILE = Path(os.environ["BENCH_STATEMENTS"])
_ONCE = r"""
\if :{0.name} = 0
{0.preparation};
\set {0.name} 1
\endif
"""


class RecordedConnection(Connection):
    """A connection that writes down what it runs."""

    async def run(self, statement: Statement, parameters: Parameters | None, *, rows: bool) -> Any:
        """Write it down, and run it."""
        given = statement.given(parameters or {}) if isinstance(statement, Prepared) else statement
        if isinstance(given, Prepared):
            self._write_down(_ONCE.format(given))
            given = given.execution
        self._write_down(self._raw.cursor().mogrify(given, parameters).decode() + ";\n")
        return await super().run(statement, parameters, rows=rows)

    def _write_down(self, lines: str) -> None:
        with _FILE.open("a", encoding="utf-8") as file:
            file.write(lines)


postgres.Connection = RecordedConnection  # type: ignore[attr-defined]
app = main_app()
