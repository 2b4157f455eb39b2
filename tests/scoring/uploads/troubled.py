"""A model that returns what its first number asks for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse


class TroubledModel:
    """Two features; the first one chooses the trouble."""

    n_features_in_ = 2

    def predict(self, rows: Any) -> Any:
        trouble = int(rows[0, 0])
        if trouble == 1:
            raise RuntimeError("the weights are gone")
        if trouble == 2:
            raise SystemExit(3)
        return {
            0: np.zeros(len(rows)),
            3: np.array([np.nan, np.inf, -np.inf]),
            4: [np.float32(0.5), np.int64(7), np.bool_(True), np.str_("a"), np.datetime64("2026-11-22")],
            5: scipy.sparse.csr_matrix(np.eye(2)),
            6: pd.DataFrame({"a": [1, 2], "b": ["x", None]}),
            7: pd.Series([1.5, 2.5]),
            8: np.zeros(len(rows) + 5),
            9: np.ones((1000, 400)),
            10: object(),
            11: None,
        }[trouble]
