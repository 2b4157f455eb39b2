"""Targets are held against figures; what was not measured is not called held."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.candidates import FASTAPI
from benchmarks.scenarios import DICT, OWN_FOREST, PLAIN
from benchmarks.targets import targets


def test_without_figures_nothing_holds() -> None:
    assert {row[-1] for row in targets({}).rows} == {"?"}


def test_a_target_holds_or_does_not() -> None:
    figures = {
        f"LogisticRegression/Hits/32/{DICT}/{FASTAPI}": 7.2,
        f"LogisticRegression/Hits/32/{PLAIN}/{FASTAPI}": 4.9,
        f"RandomForest, 500 trees/Misses/4/{PLAIN}/rate": 1500.0,
        OWN_FOREST: 31_000.0,
        "policy/a/0": 0.99,
        "policy/b/50": 0.94,
        "memory/scoring, LogisticRegression, original": 171.0,
    }
    held = {row[0]: row[2:] for row in targets(figures).rows if row[-1] != "?"}
    assert held == {
        f"Hits, 32 connections, {DICT}, beside {FASTAPI}": ["7.20 x", "yes"],
        f"Hits, 32 connections, {PLAIN}, beside {FASTAPI}": ["4.90 x", "**no**"],
        "Misses of the forest beside its own predict": ["46.5 x (1,500/s beside 32.3/s)", "yes"],
        "Policy auto beside the better of on and off": [
            "0.94 at worst (b, 50 % hits); 1 of 2 cases hold",
            "**no**",
        ],
        "Memory of a process with the LogisticRegression": ["171 MB at most", "yes"],
    }


def test_figures_replace_those_between_the_markers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = tmp_path / "performance.md"
    document.write_text(f"before\n{report.BEGIN}old\n{report.END}after\n")
    monkeypatch.setattr(report, "DOCUMENT", document)
    report.keep("new")
    report.keep("newest")
    assert document.read_text() == f"before\n{report.BEGIN}\nnewest\n{report.END}after\n"
    assert report.DOCUMENT.exists()


def test_the_document_has_the_markers() -> None:
    text = report.DOCUMENT.read_text()
    assert (text.count(report.BEGIN), text.count(report.END)) == (1, 1)
