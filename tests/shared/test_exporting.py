"""Export of spans fails quietly: no request, start or stop depends on a collector or on the packages being there."""

import asyncio
import socket
import sys

import pytest

from dev.fleet import Fleet
from dev.settings import free_port
from shared.exporting import SpanExport
from shared.settings import Settings

from .support import client, serving

pytestmark = pytest.mark.anyio


async def test_without_an_endpoint_there_is_no_tracer(settings: Settings) -> None:
    export = SpanExport("service-x", "1", settings)
    assert export.tracer is None
    await export.close()


async def test_without_the_packages_a_service_goes_on(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    endpoint = "http://127.0.0.1:4318"
    async with (
        serving(fleet, "doctors", otel_exporter_otlp_endpoint=endpoint) as app,
        client(app, "10.1.2.1") as caller,
    ):
        assert app.state.tracer is None
        assert (await caller.get("/health")).status_code == 200


@pytest.mark.parametrize("collector", ["stopped", "frozen"])
async def test_a_collector_that_is_away_holds_up_nobody(collector: str, fleet: Fleet) -> None:
    with socket.socket() as frozen:  # accepts, never answers
        frozen.bind(("127.0.0.1", 0))
        frozen.listen()
        port = frozen.getsockname()[1] if collector == "frozen" else free_port()
        async with asyncio.timeout(12):  # below the 15 s in which a service has to stop
            endpoint = f"http://127.0.0.1:{port}"
            async with serving(fleet, "doctors", otel_exporter_otlp_endpoint=endpoint) as app:
                assert app.state.tracer is not None
                async with client(app, "10.1.2.2") as caller:
                    assert (await caller.get("/health")).status_code == 200


async def test_a_queue_full_of_spans_holds_up_no_stop(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        endpoint = f"http://127.0.0.1:{frozen.getsockname()[1]}"
        export = SpanExport("service-x", "1", settings.model_copy(update={"otel_exporter_otlp_endpoint": endpoint}))
        assert export.tracer is not None
        for _ in range(2_048):
            export.tracer.start_span("request").end()
        async with asyncio.timeout(6):  # each of the four batches is given up after 2 s
            await export.close()
