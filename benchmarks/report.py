"""The report: tables and targets as Markdown, on the screen and between the markers of docs/performance.md."""

from __future__ import annotations

from benchmarks import machine
from benchmarks.plan import Bench, Section, Table

DOCUMENT = machine.ROOT / "docs" / "performance.md"
_BEGIN, _END = "<!-- figures: written by benchmarks/run -->\n", "<!-- end of figures -->\n"


def render(sections: list[Section], bench: Bench) -> str:
    """Everything that was measured, as Markdown."""
    parts = [" ".join([machine.description(), *bench.verdicts])]
    for section in sections:
        parts.append(f"### {section.title}" if not section.key else f"### {section.title}: {section.key}")
        parts += [_markdown(table) for table in section.tables]
        parts += [f"- **{trouble}**" for trouble in section.troubles]
    return "\n\n".join(parts) + "\n"


def keep(text: str) -> None:
    """Replace what is between the document's markers. Raises ValueError where it has none."""
    document = DOCUMENT.read_text()
    before, rest = document.split(_BEGIN)
    _, after = rest.split(_END)
    DOCUMENT.write_text(f"{before}{_BEGIN}\n{text}\n{_END}{after}")


def _markdown(table: Table) -> str:
    lines = [f"**{table.title}**", ""]
    lines.append(f"| {' | '.join(table.head)} |")
    lines.append(f"|{'|'.join(['---'] + ['--:'] * (len(table.head) - 1))}|")
    lines += [f"| {' | '.join(row)} |" for row in table.rows]
    return "\n".join(lines)
