"""Where a request stands in its distributed trace (W3C Trace Context), and spans of it when somebody exports them.

A span holds names, templates, codes and durations. No statement, key, path, address, header or text of an exception is
put into one: that is why none of the automatic instrumentations is used, which record URLs with their query strings.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    Tracer,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace import Span as Exported
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers

_PROPAGATOR = TraceContextTextMapPropagator()


class Span:
    """One timed step: a request, a statement, a call. Without a `tracer` it is only its ids."""

    def __init__(self, context: SpanContext, tracer: Tracer | None = None, exported: Exported | None = None) -> None:
        self._context = context
        self._tracer = tracer
        self._exported = exported
        self.trips: Counter[str] = Counter()  # to `postgresql` and `redis`, one for each of its steps there

    @property
    def trace_id(self) -> str:
        """The id of the whole trace, 32 hexadecimal digits."""
        return format_trace_id(self._context.trace_id) if self._context.is_valid else "-"

    @property
    def span_id(self) -> str:
        """The id of this step, 16 hexadecimal digits."""
        return format_span_id(self._context.span_id) if self._context.is_valid else "-"

    @property
    def headers(self) -> dict[str, str]:
        """`traceparent` (and `tracestate`) for a call to another service, whose parent this span is."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, set_span_in_context(NonRecordingSpan(self._context)))
        return carrier

    @contextmanager
    def step(self, name: str, **attributes: str) -> Iterator["Span"]:
        """A step of this span, timed when spans are exported; `__` in an attribute's name stands for a dot."""
        if system := attributes.get("db__system__name"):
            self.trips[system] += 1
        if self._tracer is None:
            yield self
            return
        span = _start(self._tracer, self._context, name, SpanKind.CLIENT)
        given = {key.replace("__", "."): value for key, value in attributes.items()}
        try:
            yield span
        except BaseException as exc:
            span.end(name, {**given, "error.type": type(exc).__name__}, failed=True)
            raise
        span.end(name, given)

    def end(self, name: str, attributes: Mapping[str, str | int], *, failed: bool = False) -> None:
        """The step is over."""
        if self._exported is None:
            return
        self._exported.update_name(name)
        self._exported.set_attributes(attributes)
        if failed:
            self._exported.set_status(StatusCode.ERROR)
        self._exported.end()


def serve(headers: Headers, tracer: Tracer | None) -> Span:
    """The span of a request: in the trace of its caller if `traceparent` is a valid one, else in a new trace."""
    given, parent = headers.getlist("traceparent"), INVALID_SPAN_CONTEXT
    if len(given) == 1:  # two of them name no parent; the propagator would take the first
        carrier = {"traceparent": given, "tracestate": headers.getlist("tracestate")}
        parent = get_current_span(_PROPAGATOR.extract(carrier)).get_span_context()
    return _start(tracer, parent, "request", SpanKind.SERVER) if tracer else Span(_next(parent))


def _start(tracer: Tracer, parent: SpanContext, name: str, kind: SpanKind) -> Span:
    # Without the vendors' `tracestate`: a client may have written anything there, and nothing of it is exported.
    known = SpanContext(parent.trace_id, parent.span_id, parent.is_remote, parent.trace_flags)
    exported = tracer.start_span(name, set_span_in_context(NonRecordingSpan(known)), kind)
    own = exported.get_span_context()
    context = SpanContext(own.trace_id, own.span_id, False, own.trace_flags, parent.trace_state)
    return Span(context, tracer, exported)


def _next(parent: SpanContext) -> SpanContext:
    """The ids of a span that is not exported; they need to be unique, not secret."""
    trace_id = parent.trace_id or random.getrandbits(128) or 1
    return SpanContext(trace_id, random.getrandbits(64) or 1, False, parent.trace_flags, parent.trace_state)


OUTSIDE = Span(INVALID_SPAN_CONTEXT)  # no request is under way
