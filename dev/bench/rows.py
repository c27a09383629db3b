"""A row of the report: one route under one load."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dev.bench.load import Measurement

HEADINGS = (
    "route",
    "connections",
    "workers",
    "req/s",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "errors",
    "of ceiling",
    "of floor",
)


@dataclass(frozen=True)
class Row:
    """One route under one load. A ratio is of the ceiling's or floor's requests/s; None where it says nothing.

    `processes` holds of each the share of a core (`cpu_percent`) and the peak memory (`peak_mib`, MiB).
    """

    route: str
    connections: int
    workers: int
    rps: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    errors: int
    ceiling_ratio: float | None
    floor_ratio: float | None
    ceiling_rps: float | None
    floor_rps: float | None
    processes: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(
        cls,
        place: tuple[str, int, int],
        found: Measurement,
        processes: Mapping[str, Mapping[str, float]],
        *,
        ceiling_rps: float | None,
        floor_rps: float | None,
    ) -> "Row":
        """A row from what was measured at a place: route, connections, workers."""
        return cls(
            *place,
            rps=round(found.rps, 1),
            p50_ms=round(found.p50_ms, 2),
            p95_ms=round(found.p95_ms, 2),
            p99_ms=round(found.p99_ms, 2),
            errors=found.errors,
            ceiling_ratio=ratio(found.rps, ceiling_rps),
            floor_ratio=ratio(found.rps, floor_rps),
            ceiling_rps=rounded(ceiling_rps),
            floor_rps=rounded(floor_rps),
            processes=processes,
        )

    @property
    def cells(self) -> list[str]:
        """Its texts under HEADINGS."""
        of_ceiling, of_floor = (
            "" if value is None else f"{value:.0%}" for value in (self.ceiling_ratio, self.floor_ratio)
        )
        times = [f"{value:.1f}" for value in (self.rps, self.p50_ms, self.p95_ms, self.p99_ms)]
        return [self.route, str(self.connections), str(self.workers), *times, str(self.errors), of_ceiling, of_floor]


def ratio(rps: float, other: float | None) -> float | None:
    """What share of the other's requests/s these are."""
    return round(rps / other, 3) if other else None


def rounded(rps: float | None) -> float | None:
    """Requests/s as they are reported."""
    return None if rps is None else round(rps, 1)


def table(rows: Sequence[Row]) -> str:
    """The rows, aligned, for a terminal or Markdown."""
    lines = [list(HEADINGS), *(row.cells for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(HEADINGS))]
    texts = [
        [
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    ]
    rule = ["-" * width if place == 0 else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (texts[0], rule, *texts[1:]))
