"""The chart: requests per second by route as bars, each within the outline of its ceiling."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from dev.bench.rows import Row

CONNECTIONS = 32
WIDTH, LEFT, RIGHT, LINE, HEAD = 900, 190, 150, 30, 64
INK, BAR, OUTLINE = "#1f2933", "#2f6f9f", "#6b7785"


def draw(rows: Sequence[Row]) -> str:
    """An SVG of the rows with one worker and 32 connections, or as many as there are."""
    alone = [row for row in rows if row.workers == min(other.workers for other in rows)]
    connections = min({row.connections for row in alone}, key=lambda number: abs(number - CONNECTIONS))
    drawn = [row for row in alone if row.connections == connections]
    most = max(max(row.rps, row.ceiling_rps or 0) for row in drawn) or 1
    scale = (WIDTH - LEFT - RIGHT) / most
    height = HEAD + LINE * len(drawn) + 16
    title = f"Requests per second: one worker, {connections} connections"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="26" font-size="16" font-weight="600">{title}</text>',
        f'<text x="16" y="46" fill="{OUTLINE}">bar: measured; outline: the ceiling, with the data from memory</text>',
    ]
    for number, row in enumerate(drawn):
        top = HEAD + LINE * number
        label, ceiling = f"{row.rps:,.0f}", row.ceiling_rps
        parts.append(f'<text x="{LEFT - 10}" y="{top + 16}" text-anchor="end">{escape(row.route)}</text>')
        parts.append(f'<rect x="{LEFT}" y="{top}" width="{row.rps * scale:.1f}" height="22" fill="{BAR}"/>')
        if ceiling:
            parts.append(
                f'<rect x="{LEFT}" y="{top}" width="{ceiling * scale:.1f}" height="22" fill="none" stroke="{OUTLINE}"/>'
            )
            label += f" of {ceiling:,.0f}"
        parts.append(f'<text x="{LEFT + max(row.rps, ceiling or 0) * scale + 8:.1f}" y="{top + 16}">{label}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
