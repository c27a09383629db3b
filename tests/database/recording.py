"""An executor that runs nothing and keeps what it was given: so the services' own functions tell their statements."""

from typing import Any

from shared.postgres import Parameters, Row, Statement


class Recorder:
    """Looks like a database without rows."""

    def __init__(self) -> None:
        self.statements: list[tuple[Statement, Parameters]] = []

    async def fetch_one(self, statement: Statement, parameters: Parameters | None = None) -> Row | None:
        """No row."""
        self._keep(statement, parameters)
        return None

    async def fetch_all(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """No rows."""
        self._keep(statement, parameters)
        return []

    async def execute(self, statement: Statement, parameters: Parameters | None = None) -> int:
        """None touched."""
        self._keep(statement, parameters)
        return 0

    def _keep(self, statement: Statement, parameters: Any) -> None:
        self.statements.append((statement, parameters or {}))
