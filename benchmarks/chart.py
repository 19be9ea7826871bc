"""The field as a picture: bars of messages a second, an SVG without any library."""

from collections.abc import Iterable
from html import escape

from benchmarks.cases import CASES
from benchmarks.result import Result, Row, rows

WIDTH, LEFT, RIGHT, BAR, GAP, TITLE = 760, 150, 90, 18, 6, 34
OURS, THEIRS, INK = "#1f6f8b", "#b8bfc6", "#222"


def chart(results: Iterable[Result], names: Iterable[str] = ("P1", "P2", "P4")) -> str:
    """One panel a case, each with a scale of its own; a thin line spans slowest to fastest run."""
    found = [row for row in rows(results).values() if row.runs]
    parts: list[str] = []
    y = 10.0
    for case in CASES:
        bars = sorted((row for row in found if row.case == case.name), key=lambda row: -row.rate)
        if case.name in names and bars:
            title = escape(f"{case.name} {case.title}: messages a second")
            parts.append(f'<text x="10" y="{y + 18:.0f}" font-weight="bold">{title}</text>')
            y += TITLE
            most = max(row.high for row in bars)
            for row in bars:
                parts.append(bar(row, y, (WIDTH - LEFT - RIGHT) / most))
                y += BAR + GAP
            y += GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:.0f}" '
        f'width="{WIDTH}" height="{y:.0f}" font-family="sans-serif" font-size="13" fill="{INK}">'
    )
    return "\n".join(
        [head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>", ""]
    )


def bar(row: Row, y: float, scale: float) -> str:
    """Name, bar, range and figure of one server."""
    colour = OURS if row.server.startswith("merpati") else THEIRS
    middle, end = y + BAR / 2, LEFT + row.rate * scale
    low, high = LEFT + row.low * scale, LEFT + row.high * scale
    text = f'y="{middle + 4.5:.1f}"'
    return (
        f'<text x="{LEFT - 8}" {text} text-anchor="end">{escape(row.server)}</text>'
        f'<rect x="{LEFT}" y="{y:.1f}" width="{end - LEFT:.1f}" height="{BAR}" fill="{colour}"/>'
        f'<path d="M{low:.1f} {middle:.1f}H{high:.1f}" stroke="{INK}"/>'
        f'<text x="{high + 8:.1f}" {text}>{row.rate:,.0f}</text>'
    )
