"""The report: targets and tables as Markdown, on the screen and between the markers of docs/performance.md."""

from __future__ import annotations

from benchmarks import machine
from benchmarks.plan import Bench, Section, Table
from benchmarks.targets import targets

DOCUMENT = machine.ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- figures: written by benchmarks/run -->\n", "<!-- end of figures -->\n"


def render(sections: list[Section], bench: Bench, command: str) -> str:
    """Everything that was measured, as Markdown."""
    figures = {name: value for section in sections for name, value in section.figures.items()}
    troubles = [f"- {section.title}: {trouble}" for section in sections for trouble in section.troubles]
    parts = [f"`{command}`: {machine.description()}", *bench.verdicts]
    parts += ["### Targets", _markdown(targets(figures))]
    parts += ["### What went wrong in this run", "\n".join(troubles)] if troubles else []
    title = ""
    for section in sections:
        parts += [f"### {section.title}"] if section.title != title else []
        title = section.title
        parts += [f"**{table.title}**\n\n{_markdown(table)}" for table in section.tables]
    return "\n\n".join(parts) + "\n"


def keep(text: str) -> None:
    """Replace what is between the document's markers. Raises ValueError where it has none."""
    before, rest = DOCUMENT.read_text().split(BEGIN)
    _, after = rest.split(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def _markdown(table: Table) -> str:
    lines = [f"| {' | '.join(table.head)} |"]
    lines.append(f"|{'|'.join(['---'] + ['--:'] * (len(table.head) - 1))}|")
    lines += [f"| {' | '.join(row)} |" for row in table.rows]
    return "\n".join(lines)
