"""Traces: W3C's rules for what comes in, and one trace from a service to the auth service in both logs."""

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers

from dev.fleet import Fleet
from dev.processes import wait_until
from shared.tracing import OUTSIDE, Span, serve

from ..support import Api

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def headers(*pairs: tuple[str, str]) -> Headers:
    return Headers(raw=[(name.encode(), value.encode("latin-1")) for name, value in pairs])


def answer_to(traceparent: str, *more: tuple[str, str]) -> Span:
    return serve(headers(("traceparent", traceparent), *more), None)


@pytest.mark.parametrize("flags", ["00", "01"])
def test_a_valid_parent_is_taken_up_with_a_span_of_our_own(flags: str) -> None:
    span = answer_to(f"00-{TRACE}-{PARENT}-{flags}", ("tracestate", "congo=t61,rojo=00f067"))
    assert span.trace_id == TRACE
    assert span.span_id not in (PARENT, "0" * 16) and len(span.span_id) == 16
    assert span.headers == {
        "traceparent": f"00-{TRACE}-{span.span_id}-{flags}",
        "tracestate": "congo=t61,rojo=00f067",
    }


def test_a_later_version_of_the_header_is_read_as_far_as_it_is_known() -> None:
    assert answer_to(f"cc-{TRACE}-{PARENT}-01-what-the-future-will-be").trace_id == TRACE


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "x",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}-01-more",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE[:-1]}g-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01, 00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-{'x' * 9_000}",
        "ñ" * 55,
    ],
)
def test_a_malformed_parent_is_ignored(traceparent: str) -> None:
    span = answer_to(traceparent, ("tracestate", "congo=t61"))
    assert len(span.trace_id) == 32 and int(span.trace_id, 16) and span.trace_id != TRACE
    assert "tracestate" not in span.headers


def test_two_parents_are_none() -> None:
    twice = ("traceparent", f"00-{TRACE}-{PARENT}-01")
    assert serve(headers(twice, twice), None).trace_id != TRACE


def test_no_parent_begins_a_trace_of_its_own_and_outside_of_requests_there_is_none() -> None:
    assert serve(headers(), None).trace_id != serve(headers(), None).trace_id
    assert (OUTSIDE.trace_id, OUTSIDE.span_id, OUTSIDE.headers) == ("-", "-", {})


def test_a_malformed_tracestate_does_not_travel_on() -> None:
    for state in ("x" * 600, "no equals sign"):
        assert "tracestate" not in answer_to(f"00-{TRACE}-{PARENT}-01", ("tracestate", state)).headers


def lines(fleet: Fleet, service: str) -> list[dict[str, Any]]:
    log = Path(fleet.data_dir / "logs" / f"{service}.log")
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("{")]


def test_a_delegated_login_is_one_trace_in_both_logs(fleet: Fleet, api: Api) -> None:
    trace = f"{TRACE[:-4]}beef"
    sent = {"traceparent": f"00-{trace}-{PARENT}-01", "X-Request-ID": "traced-login"}
    api.anonymous.doctors.post("/auth/login", json={"email": "a@b.mx", "password": "x"}, headers=sent)
    spans = []
    for service in ("doctors", "auth"):
        found: list[dict[str, Any]] = []

        def is_written(service: str = service, found: list[dict[str, Any]] = found) -> bool:
            found[:] = [line for line in lines(fleet, service) if line["request_id"] == "traced-login"]
            return any(line["event"] == "request" for line in found)

        assert wait_until(is_written, 10), "a request's line is written after its answer"
        (line,) = [line for line in found if line["event"] == "request"]
        assert {line["trace_id"] for line in found} == {trace}
        assert (line["trace_id"], line["route"]) == (trace, "/auth/login")
        spans.append(line["span_id"])
    assert len({*spans, PARENT}) == 3
    assert all("trace_id" in line and "span_id" in line for line in lines(fleet, "doctors"))
