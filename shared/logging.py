"""Structured logs: one JSON object a line on standard output. Ids, codes and durations only, never personal values."""

import asyncio
import json
import logging
import sys
import traceback
import warnings
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from . import context

log = logging.getLogger(__name__)

_TRUSTED = {"app", "database", "shared", "uvicorn"}
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonFormatter(logging.Formatter):
    """Renders a record with its `extra` fields; of an exception only its type and where it was raised.

    Exception messages are left out on purpose: drivers quote the values of the statement in them.
    """

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        request = context.current()
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "event": _event(record),
            "request_id": request.request_id,
            "trace_id": request.span.trace_id,
            "span_id": request.span.span_id,
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            line["raised_at"] = [
                f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(record.exc_info[2])[-5:]
            ]
        return json.dumps(line, default=str)


def _event(record: logging.LogRecord) -> str:
    """What happened; of a library only its template: what fills it in may be a value (a header, a row).

    And only its first line: below it uvicorn writes the traceback of a start that fails, with the text of its error.
    """
    trusted = record.name.split(".")[0] in _TRUSTED
    return (record.getMessage() if trusted else str(record.msg)).partition("\n")[0]


def watch(loop: asyncio.AbstractEventLoop) -> None:
    """Log what fails in a task that nobody waits for; asyncio's own line would show the text of its exception."""

    def report(_: asyncio.AbstractEventLoop, details: dict[str, Any]) -> None:
        log.error("unhandled error in a task", exc_info=details.get("exception"))

    loop.set_exception_handler(report)


def _report_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any) -> None:
    # Its text may quote a value, as pydantic's do.
    log.warning("warning", extra={"category": category.__name__, "raised_at": [f"{filename}:{lineno}"]})


def _report_error(_: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    log.critical("the process ends with an error", exc_info=(type(error), error, traceback))


def configure(service: str, level: str) -> None:
    """Send every logger of this process to standard output as JSON, from `level` (a name of `logging`) up."""
    logging.raiseExceptions = False  # a record that can't be written must not be shown elsewhere in another form
    warnings.showwarning = _report_warning  # type: ignore[assignment]  # it takes the rest as well
    sys.excepthook = _report_error
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    # Our own middleware writes the access line, by route template: uvicorn's would hold the query string.
    logging.getLogger("uvicorn.access").disabled = True
    for chatty in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelName(level)))
