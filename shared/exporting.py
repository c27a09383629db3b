"""Export of spans over OTLP, if `OTEL_EXPORTER_OTLP_ENDPOINT` is set and the packages of the extra `otel` are there."""

import asyncio
import logging
import threading

from opentelemetry.trace import Tracer

from .settings import Settings

log = logging.getLogger(__name__)

EXPORT_SECONDS = 2  # a collector that is away must hold up neither a stop nor a batch for longer


class SpanExport:
    """The tracer of one application, and the thread behind it that sends its spans in batches."""

    def __init__(self, service: str, version: str, settings: Settings) -> None:
        self.tracer: Tracer | None = None
        self._close = lambda: None
        if not settings.otel_exporter_otlp_endpoint:
            return
        try:
            # Here, since a fleet that exports nothing needs neither the packages nor the time to load them.
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            log.warning("no spans are exported: the packages of the extra otel are missing")
            return
        name = {"service.name": service, "service.version": version, "service.namespace": "predicthealth"}
        endpoint = settings.otel_exporter_otlp_endpoint.rstrip("/") + "/v1/traces"
        # Sampling, headers and batches follow the other OTEL_ variables; the SDK reads them.
        provider = TracerProvider(resource=Resource.create(name), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_SECONDS)))
        self.tracer = provider.get_tracer("predicthealth", version)
        self._close = provider.shutdown

    async def close(self) -> None:
        """Send what is left, for a bounded time: a full queue has several batches, and each may take that long."""
        sending = threading.Thread(target=self._close, daemon=True)  # no stop waits for its end
        sending.start()
        await asyncio.to_thread(sending.join, EXPORT_SECONDS)
