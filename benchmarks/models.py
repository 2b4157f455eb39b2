"""The models that are served, trained on the digits that come with scikit-learn, and the rows that are sent."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import joblib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from benchmarks.machine import WORK


@dataclass(frozen=True)
class Trained:
    """A model in a file."""

    name: str
    file: Path


def train() -> tuple[Trained, Trained]:
    """LogisticRegression and RandomForestClassifier with 500 trees, both on 64 features; the same at every run."""
    images, labels = load_digits(return_X_y=True)
    rows = images / 16
    return (
        _saved("LogisticRegression", LogisticRegression(max_iter=500).fit(rows, labels)),
        _saved("RandomForest", RandomForestClassifier(500, random_state=0).fit(rows, labels)),
    )


def own_predict_us(model: Trained, *, asked: int) -> float:
    """Median µs of the model's own predict for one row, in a loop in this process."""
    opened, rows = joblib.load(model.file), np.array(known_rows())
    opened.predict(rows[:1])
    took = []
    for at in range(asked):
        started = time.perf_counter()
        opened.predict(rows[at % len(rows)][None])
        took.append(time.perf_counter() - started)
    return median(took) * 1e6


def write_rows() -> Path:
    """The file that `rows.lua` reads: each row up to its first cell, a tab, and the rest.

    The first pixel of a digit is always 0: a number there makes a row new and does not change the path it takes
    through the model.
    """
    file = WORK / "rows.txt"
    file.write_text("".join(f"[\t{json.dumps(row)[4:]}\n" for row in known_rows()))
    return file


def known_rows() -> list[list[float]]:
    """The rows that are sent again and again, in the order of the file."""
    rows: list[list[float]] = (load_digits().data / 16).tolist()
    return rows


def _saved(name: str, model: Any) -> Trained:
    file = WORK / "models" / f"{name}.joblib"
    file.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, file)
    return Trained(name, file)
