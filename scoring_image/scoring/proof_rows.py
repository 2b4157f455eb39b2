"""The rows on which two forms of a model are compared; the same ones every time for the same model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring import features
from scoring.trees import Floats, Forest, around, column_thresholds, ranges, threshold_rows

# What one chunk holds at most: memory stays small whatever the model's width.
CHUNK = 1024
_CELLS = 4_000_000
_SEED = 20_260_101
_TABLE_ROWS = 3 * CHUNK

Description = dict[str, Any]
Table = dict[str, NDArray[Any]]
Value = Floats | list[str] | Table


def count(value: Value) -> int:
    """How many rows a value holds."""
    return len(next(iter(value.values()))) if isinstance(value, dict) else len(value)


def part(value: Value, rows: slice) -> Value:
    """Some of its rows, as a value of the same kind."""
    if isinstance(value, dict):
        return {name: column[rows] for name, column in value.items()}
    return value[rows]


def chunks(model: Any, schema: Description, forest: Forest | None, most_nodes: int) -> Iterator[Value]:
    """Rows such as the reader of requests hands over for `schema`, in chunks of at most CHUNK rows."""
    random = np.random.default_rng(_SEED)
    if schema["kind"] == "table":
        yield from _table_chunks(model, schema, forest, random)
    elif schema["dtype"] == "string":
        texts = _texts(model, 3 * CHUNK, random)
        yield from (texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK))
    else:
        yield from _array_chunks(model, schema, forest, most_nodes, random)


def _array_chunks(
    model: Any, schema: Description, forest: Forest | None, most_nodes: int, random: np.random.Generator
) -> Iterator[Floats]:
    width = int(schema["features"])
    given = _given(schema, width)
    centre = given[0] if len(given) else np.array(features.typical_row(model, width) or [0.0] * width)
    least, greatest = _plausible(model, forest, centre)
    size = max(1, min(CHUNK, _CELLS // width))
    rows = _random_rows(given, centre, least, greatest, random)
    if schema["missing"] == "allow":
        rows = np.concatenate([rows, _with_holes(rows, random)])
    yield from _pieces(rows, size)
    if forest is not None:
        yield from _threshold_chunks(forest, centre, most_nodes, size, random)


def _given(schema: Description, width: int) -> Floats:
    """The description's example rows that are numbers, of shape (rows, width)."""
    rows: list[list[float]] = []
    names = [column["name"] for column in schema["columns"] or ()]
    for row in schema["example"] or ():
        cells = [row.get(name) for name in names] if isinstance(row, dict) else row
        if len(cells) == width:
            rows.append([np.nan if cell is None else float(cell) for cell in cells])
    return np.array(rows, dtype=np.float64).reshape(-1, width) + 0.0


def _plausible(model: Any, forest: Forest | None, centre: Floats) -> tuple[Floats, Floats]:
    """Bounds of each feature: as the trees or a scaler know them, or else around the example."""
    width = len(centre)
    spread = features.spread(model, width)
    reach = np.maximum(np.abs(np.nan_to_num(centre)), 1.0) if spread is None else 3.0 * np.array(spread)
    least, greatest = np.nan_to_num(centre) - reach, np.nan_to_num(centre) + reach
    if forest is not None and not forest.before:
        lowest, highest = ranges(forest, width)
        margin = 0.1 * np.maximum(highest - lowest, 1e-3)
        least = np.where(np.isnan(lowest), least, lowest - margin)
        greatest = np.where(np.isnan(highest), greatest, highest + margin)
    return least, greatest


def _random_rows(given: Floats, centre: Floats, least: Floats, greatest: Floats, random: np.random.Generator) -> Floats:
    """The given rows, permutations of them, and rows drawn within and far beyond the plausible bounds."""
    width, reach = len(centre), greatest - least
    middle = (least + greatest) / 2

    def uniform(rows: int, factor: float) -> Floats:
        return middle + (random.random((rows, width)) - 0.5) * reach * factor

    around_one = np.repeat(given if len(given) else centre[None, :], 256, axis=0)[:512]
    drawn = [
        given,
        centre[None, :],
        np.zeros((1, width)),
        random.permuted(around_one, axis=1),
        centre + random.standard_normal((1024, width)) * reach / 6,
        uniform(1536, 1.0),
        np.rint(uniform(256, 1.0)),
        uniform(256, 1.0) * (random.random((256, width)) < 0.3),
        uniform(192, 10.0),
        uniform(64, 1_000.0),
        uniform(32, 1_000_000.0),
    ]
    # The reader takes the sign off zeros, and so no other zero is compared.
    return np.concatenate(drawn) + 0.0


def _with_holes(rows: Floats, random: np.random.Generator) -> Floats:
    """Rows with missing values: each feature alone, a tenth of them, half of them, and all."""
    width = rows.shape[1]
    alone = rows[np.arange(width) % len(rows)].copy()
    alone[np.arange(width), np.arange(width)] = np.nan
    some = rows[random.permutation(len(rows))[:768]].copy()
    share = np.linspace(0.05, 0.95, len(some))[:, None]
    some[random.random(some.shape) < share] = np.nan
    return np.concatenate([alone, some, np.full((1, width), np.nan)])


def _threshold_chunks(
    forest: Forest, centre: Floats, most: int, size: int, random: np.random.Generator
) -> Iterator[Floats]:
    """Rows on the trees' thresholds, brought back to what the input was before the steps in front of them."""
    start = np.nan_to_num(centre)[None, :]
    for step in forest.before:
        start = np.asarray(step.transform(start))
    if not all(callable(getattr(step, "inverse_transform", None)) for step in forest.before):
        return
    waiting: list[Floats] = []
    for rows in threshold_rows(forest, start[0].astype(np.float64), most, random):
        waiting.append(rows)
        if sum(map(len, waiting)) >= size:
            yield from _pieces(_brought_back(forest, np.concatenate(waiting)), size)
            waiting = []
    if waiting:
        yield from _pieces(_brought_back(forest, np.concatenate(waiting)), size)


def _brought_back(forest: Forest, rows: Floats) -> Floats:
    if not forest.before:
        return rows
    for step in reversed(forest.before):
        rows = np.asarray(step.inverse_transform(rows), dtype=np.float64)
    # Rounding on the way back may cross the line, so the rows' neighbours are taken along.
    near = rows.astype(np.float32).astype(np.float64)
    return np.concatenate([rows, np.nextafter(rows, -np.inf), np.nextafter(rows, np.inf), near]) + 0.0


def _pieces(rows: Floats, size: int) -> Iterator[Floats]:
    for start in range(0, len(rows), size):
        yield np.ascontiguousarray(rows[start : start + size])


def _table_chunks(
    model: Any, schema: Description, forest: Forest | None, random: np.random.Generator
) -> Iterator[Table]:
    cells = features.column_values(model, schema["columns"])
    transformer, named = features.column_transformer(model), features.names(model)
    if forest is not None and transformer is not None and named is not None:
        for name, thresholds in column_thresholds(forest, transformer, named).items():
            if name in cells:
                cells[name].thresholds = thresholds
    # So many rows that each threshold of the column that has most is stood on.
    most = max((len(known.thresholds) for known in cells.values()), default=0)
    for rows, strange in ((_TABLE_ROWS + min(6 * most, 6 * CHUNK), False), (48, True)):
        table = _table(cells, schema, rows, random, strange=strange)
        for start in range(0, rows, CHUNK):
            yield {name: column[start : start + CHUNK] for name, column in table.items()}


def _table(
    cells: dict[str, features.Known], schema: Description, rows: int, random: np.random.Generator, *, strange: bool
) -> Table:
    """Columns of cells such as the model knows; with `strange` some of its categories were never seen."""
    example = (schema["example"] or [None])[0]
    table: Table = {}
    for place, column in enumerate(schema["columns"]):
        given = None
        if example is not None:
            given = example[column["name"]] if isinstance(example, dict) else example[place]
        values = _column(column, given, cells[column["name"]], rows, random, 0.1 if strange else 0.0)
        allowed = (column.get("missing") or schema["missing"]) == "allow"
        if allowed and column["dtype"] in ("float64", "string"):
            values[random.random(rows) < 0.15] = np.nan
        table[column["name"]] = values
    return table


def _column(
    column: Description, given: Any, known: features.Known, rows: int, random: np.random.Generator, strange: float
) -> NDArray[Any]:
    dtype = column["dtype"]
    if known.vocabulary is not None:
        return np.array(_documents(known.vocabulary, rows, random), dtype=object)
    if dtype == "string":
        values = [str(value) for value in known.categories or ([given] if given else ["a", "b"])]
        unknown = ["", "never seen", values[0].upper() + "é", f" {values[0]}"]
        drawn = random.integers(len(values), size=rows)
        cells = np.array([values[index] for index in drawn], dtype=object)
        odd = random.random(rows) < strange
        cells[odd] = [unknown[index % len(unknown)] for index in range(int(odd.sum()))]
        return cells
    if dtype == "bool":
        return random.random(rows) < 0.5
    if known.categories:
        numbers = np.array(known.categories, dtype=np.float64)
        chosen = numbers[random.integers(len(numbers), size=rows)]
        odd = random.random(rows) < strange
        chosen[odd] = numbers.max() + 1 + np.arange(int(odd.sum()))
        return chosen.astype(dtype)
    centre = float(given) if isinstance(given, int | float) else 0.0
    reach = known.spread * 3 if known.spread else max(abs(centre), 1.0)
    cells = centre + random.standard_normal(rows) * reach / 2
    cells[: rows // 8] = np.rint(cells[: rows // 8])
    cells[rows // 8 : rows // 6] *= 1_000.0
    stood_on = np.concatenate([around(value) for value in known.thresholds]) if known.thresholds else np.empty(0)
    some = min(len(stood_on), max(rows - _TABLE_ROWS, rows // 2))
    cells[rows - some :] = random.permutation(stood_on)[:some]
    return (np.rint(cells) if dtype == "int64" else cells + 0.0).astype(dtype)


def _texts(model: Any, rows: int, random: np.random.Generator) -> list[str]:
    return _documents(features.vocabulary(model), rows, random)


# What tokenizers of different make take apart differently.
_ODD_TEXTS = [
    "",
    " ",
    "a",
    "I",
    "x y z",
    "1 22 333",
    "don't won't it's",
    "e-mail a_b a__b _",
    "C++ and C# 3.14",
    "...!?",
    "a.b.c,d;e",
    "http://example.org/a?b=c&d=1",
    "tab\tnew\nline",
    "UPPER lower MiXeD",
    "naïve café Ünïcödé ÉCOLE",
    "straße STRASSE ß",
    "日本語 テキスト",
    "привет МИР",
    "مرحبا",
    "हिन्दी शब्द",
    "İstanbul ıI",
    "ﬁne ligature",
    "😀 ok",
]


def _documents(words: list[str], rows: int, random: np.random.Generator) -> list[str]:
    """Texts of known words, with unknown ones, punctuation and other cases among them."""
    known = words or ["some", "text", "to", "score"]
    texts = [*_ODD_TEXTS, "x" * 5_000]
    for odd in _ODD_TEXTS:
        texts.append(f"{known[int(random.integers(len(known)))]} {odd} {known[int(random.integers(len(known)))]}")
    while len(texts) < rows:
        drawn = [known[index] for index in random.integers(len(known), size=int(random.integers(1, 25)))]
        if len(texts) % 3 == 0:
            drawn.insert(len(drawn) // 2, "unseenword")
            drawn = [word.upper() if index % 4 == 0 else word for index, word in enumerate(drawn)]
        texts.append((", " if len(texts) % 5 == 0 else " ").join(drawn))
    return texts[:rows]
