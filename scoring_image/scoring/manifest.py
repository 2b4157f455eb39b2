"""The manifest: what was packaged, as data; the only thing the packager and this server share."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec


class ModelFile(msgspec.Struct, frozen=True):
    """The uploaded artifact: `file` is relative to the package, `sha256` is 64 hex digits."""

    file: str
    name: str
    sha256: str
    format: str
    method: str


class Code(msgspec.Struct, frozen=True):
    """The uploaded code; `entry_script` is relative to `code/`.

    A script's answers are cached only where it is declared `deterministic`: nobody can see from outside
    whether a script asks a clock or a database.
    """

    entry_script: str | None = None
    deterministic: bool = False


class Execution(msgspec.Struct, frozen=True):
    """In which form the model runs, and why in that one.

    `file`, relative to the package, and its `sha256` are those of the executed form where that is not the upload;
    `outputs` says how its outputs become what the original's method returns.
    """

    requested: str = "auto"
    executes: str = "original"
    reason: str = ""
    file: str | None = None
    sha256: str | None = None
    outputs: dict[str, Any] | None = None


class Column(msgspec.Struct, frozen=True):
    """A named feature of a row.

    `missing` is null where the input's own rule holds, `categories` where any value of the dtype is taken. `known` are
    the values seen at training where others are taken as well.
    """

    name: str
    dtype: Literal["float64", "int64", "bool", "string"]
    missing: Literal["refuse", "allow"] | None = None
    categories: list[Any] | None = None
    known: list[Any] | None = None

    def may_be_missing(self, schema: Input) -> bool:
        """Whether null is taken here. There is no missing whole number and no missing truth value."""
        return (self.missing or schema.missing) == "allow" and self.dtype in ("float64", "string")


class Input(msgspec.Struct, frozen=True):
    """What a request holds.

    `kind` says what the model is given: a float64 array of shape (rows, features), or a table (a pandas
    DataFrame) with these columns. `columns` may be there for an array too: then rows may also be objects.
    An array of dtype `string` is a list of texts. `features` is null where any width is taken. `ignored` are
    columns that may be sent and make no difference.
    """

    kind: Literal["array", "table"] = "array"
    parameter: str = "data"
    features: int | None = None
    columns: tuple[Column, ...] | None = None
    dtype: Literal["float64", "string"] = "float64"
    missing: Literal["refuse", "allow"] = "refuse"
    example: Any = None
    ignored: tuple[str, ...] = ()


class Output(msgspec.Struct, frozen=True):
    """What an answer holds, for those who describe it; the server sends what the model returns.

    `kind` is array, scalar, records (of a DataFrame) or list (an array for each output). `shape` is the answer's, null
    for the rows; null altogether where it is not known. `classes` are labels, or lists of them for several outputs.
    """

    kind: str = "array"
    dtype: str = "float64"
    classes: list[Any] | None = None
    outputs: int | None = None
    shape: list[int | None] | None = None


class Trigger(msgspec.Struct, frozen=True):
    """How the function is called: over HTTP by a route, or by what arrives in a store or a queue.

    `function` is the function's name, which is its folder's in the package and, where the trigger is not http, the
    path that the Functions host posts to.
    """

    kind: Literal["http", "blob", "service_bus"] = "http"
    function: str = ""
    route: str = "score"
    methods: tuple[str, ...] = ("POST",)
    auth_level: str = "function"
    path_in: str = ""
    path_out: str = ""
    queue_in: str = ""
    queue_out: str = ""


class Limits(msgspec.Struct, frozen=True):
    """The most that one request may hold."""

    max_body_bytes: int = 10 * 1024 * 1024
    max_rows: int = 10_000


class Manifest(msgspec.Struct, frozen=True):
    """`manifest.json`, version 1. Unknown fields are let be: an older server reads a newer file."""

    manifest_version: Literal[1]
    model_version: str
    model: ModelFile
    input: Input
    scoring_version: str = "1"
    code: Code = Code()
    execution: Execution = Execution()
    output: Output = Output()
    trained_with: dict[str, str] = {}
    estimator: str = ""
    trigger: Trigger = Trigger()
    limits: Limits = Limits()


class ManifestError(Exception):
    """The manifest is missing or is not one that this server understands."""


def read_manifest(root: Path) -> Manifest:
    """The manifest of the package in `root`. Raises ManifestError."""
    path = root / "manifest.json"
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} is not a manifest of version 1: {error}") from error
    if manifest.input.kind == "table" and not manifest.input.columns:
        raise ManifestError(f"{path}: input.kind is table, but input.columns is empty")
    return manifest
