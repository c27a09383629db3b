"""An OpenTelemetry collector as small as it gets: OTLP over HTTP, with protobuf, kept in memory."""

import contextlib
import gzip
import http.server
import threading
from collections.abc import Iterator

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span


class Collector(http.server.ThreadingHTTPServer):
    """Takes what services export to `url`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Intake)
        self.received: list[ResourceSpans] = []

    @property
    def url(self) -> str:
        """For `OTEL_EXPORTER_OTLP_ENDPOINT`."""
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self, service: str) -> list[Span]:
        """The spans of one service."""
        return [
            span
            for group in self.received
            if any(item.value.string_value == service for item in group.resource.attributes)
            for scope in group.scope_spans
            for span in scope.spans
        ]


class _Intake(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path == "/v1/traces":
            self.server.received += ExportTraceServiceRequest.FromString(body).resource_spans
        self.send_response(200 if self.path == "/v1/traces" else 404)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """The tests need no log of it."""


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens."""
    collector = Collector()
    thread = threading.Thread(target=collector.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        collector.shutdown()
        thread.join()
        collector.server_close()
