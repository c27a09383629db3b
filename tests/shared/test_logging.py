import asyncio
import json
import logging
import subprocess
import sys
import warnings

import pytest

from dev import ROOT
from dev.settings import SERVICE_FOLDERS, free_port
from shared import context
from shared.context import RequestContext
from shared.logging import JsonFormatter, configure, watch


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
        record = logging.makeLogRecord(
            {"msg": "failed", "name": "app", "exc_info": (type(exc), exc, exc.__traceback__)}
        )
    line = line_of(record)
    assert line["error"] == "ValueError"
    assert "test_logging.py" in str(line["raised_at"])
    assert "ana@clinica.mx" not in json.dumps(line)


def test_of_a_library_only_the_template_is_logged_for_what_fills_it_in_may_be_a_value() -> None:
    values = {"levelname": "DEBUG", "name": "httpcore.http11", "args": ("Bearer eyJ", "ana@clinica.mx")}
    record = logging.makeLogRecord({"msg": "send_request_headers %s %s\nheaders: ana@clinica.mx", **values})
    assert line_of(record)["event"] == "send_request_headers %s %s"
    ours = logging.makeLogRecord({"msg": "process %d", "args": (7,), "name": "uvicorn.error"})
    assert line_of(ours)["event"] == "process 7"


def test_a_service_that_does_not_start_leaves_the_type_of_its_error_alone() -> None:
    started = subprocess.run(
        [sys.executable, "-m", "uvicorn", "app.main:app", "--port", str(free_port())],
        cwd=ROOT / SERVICE_FOLDERS["doctors"],
        env={"AUTH_SERVICE_URL": "http://u:hunter2/x@127.0.0.1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert started.returncode == 3
    assert "InvalidURL" in [json.loads(line).get("error") for line in started.stdout.splitlines()]
    assert "hunter2" not in started.stdout + started.stderr


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `configure` changes in this process is put back."""
    root = logging.getLogger()
    for owner, name, value in (
        (root, "handlers", [*root.handlers]),
        (sys, "excepthook", sys.excepthook),
        (warnings, "showwarning", warnings.showwarning),
    ):
        monkeypatch.setattr(owner, name, value)


def test_warnings_and_the_last_error_of_a_process_show_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure("service-x", "DEBUG")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning("expected str, got ana@clinica.mx", UserWarning, "models.py", 7)
    try:
        raise ValueError("ana@clinica.mx")
    except ValueError as exc:
        sys.excepthook(type(exc), exc, exc.__traceback__)
    out, err = capsys.readouterr()
    warning, error = (json.loads(line) for line in out.splitlines())
    assert (warning["category"], warning["raised_at"]) == ("UserWarning", ["models.py:7"])
    assert (error["level"], error["error"]) == ("CRITICAL", "ValueError")
    assert "ana@clinica.mx" not in out + err


def test_a_task_that_fails_unseen_leaves_its_type_alone(capsys: pytest.CaptureFixture[str]) -> None:
    configure("service-x", "DEBUG")

    async def lose() -> None:
        watch(asyncio.get_running_loop())

        async def fail() -> None:
            raise ValueError("ana@clinica.mx")

        task = asyncio.ensure_future(fail())
        await asyncio.sleep(0)
        del task

    asyncio.run(lose())
    out, err = capsys.readouterr()
    assert [json.loads(line)["error"] for line in out.splitlines() if "error" in json.loads(line)] == ["ValueError"]
    assert "ana@clinica.mx" not in out + err
