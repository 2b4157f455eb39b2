"""An estimator that nobody wrote a converter for."""

from __future__ import annotations

from sklearn.linear_model import LinearRegression


class OwnRegressor(LinearRegression):  # type: ignore[misc]
    """It only has another name."""
