"""What Prometheus reads at `GET /metrics`: one registry per application, nothing global."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client import Metric as Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from starlette.types import Scope

# From a read that Redis answers to the longest wait for a busy auth service.
DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

Source = Callable[[], Iterable[Metric]]

disable_created_metrics()  # type: ignore[no-untyped-call]  # the time of each series' birth would double their number


class Metrics:
    """The counters of one application. Labels are templates, methods and codes: a client can't add a series."""

    def __init__(self, service: str, version: str) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "predicthealth_http_requests_total",
            "Requests answered, by route template; status 0: the client was gone before its answer.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._durations = Histogram(
            "predicthealth_http_request_duration_seconds",
            "Time from a request's head to the end of its answer.",
            ["method", "route"],
            buckets=DURATION_BUCKETS,
            registry=self._registry,
        )
        self._in_progress = Gauge(
            "predicthealth_http_requests_in_progress", "Requests under way.", registry=self._registry
        )
        self.redis_errors = Counter(
            "predicthealth_redis_errors_total", "Times that Redis refused or did not answer.", registry=self._registry
        )
        Info("predicthealth_build", "What runs here.", registry=self._registry).info(
            {"service": service, "version": version}
        )
        ProcessCollector(registry=self._registry)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count a request as under way."""
        self._in_progress.inc()
        try:
            yield
        finally:
            self._in_progress.dec()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that has ended."""
        self._requests.labels(method, route, str(status)).inc()
        self._durations.labels(method, route).observe(seconds)

    @contextmanager
    def including(self, source: Source) -> Iterator[None]:
        """Ask `source` at each scrape for what it knows: the depth of a queue, the use of a pool."""
        collector = _Collector(source)
        self._registry.register(collector)
        try:
            yield
        finally:
            self._registry.unregister(collector)

    def render(self) -> bytes:
        """Everything in Prometheus's text format."""
        return generate_latest(self._registry)


class _Collector(Collector):
    def __init__(self, source: Source) -> None:
        self._source = source

    def collect(self) -> Iterable[Metric]:
        return self._source()


def gauge(name: str, documentation: str, value: float) -> Metric:
    """One number as it is now, for a source."""
    return GaugeMetricFamily(name, documentation, value)


def labels_of(scope: Scope) -> tuple[str, str]:
    """Method and route template of a request; whatever we don't know ourselves is `_OTHER` and `unmatched`."""
    method = scope["method"]
    return (method if method in METHODS else "_OTHER", getattr(scope.get("route"), "path", None) or "unmatched")
