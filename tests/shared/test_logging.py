import json
import logging

from shared import context
from shared.context import RequestContext
from shared.logging import JsonFormatter


def line_of(record: logging.LogRecord) -> dict[str, object]:
    line: dict[str, object] = json.loads(JsonFormatter("service-x").format(record))
    return line


def test_a_line_is_json_with_the_request_id_and_the_extra_fields() -> None:
    context.enter(RequestContext(request_id="r-42"))
    record = logging.makeLogRecord({"msg": "request", "levelname": "INFO", "name": "x", "status": 200})
    line = line_of(record)
    assert (line["event"], line["request_id"], line["status"], line["service"]) == ("request", "r-42", 200, "service-x")


def test_an_exception_leaves_its_type_and_place_but_not_its_text() -> None:
    try:
        raise ValueError("duplicate key value: (email)=(ana@clinica.mx)")
    except ValueError as exc:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": (type(exc), exc, exc.__traceback__)})
    line = line_of(record)
    assert line["error"] == "ValueError"
    assert "test_logging.py" in str(line["raised_at"])
    assert "ana@clinica.mx" not in json.dumps(line)
