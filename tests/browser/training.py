"""Trains two models of the iris data set into the folder that is named; run as a script of its own."""

import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

if __name__ == "__main__":
    rows, labels = load_iris(return_X_y=True)
    for name, depth in (("iris", 2), ("deep_iris", 5)):
        model = DecisionTreeClassifier(max_depth=depth, random_state=0).fit(rows, labels)
        joblib.dump(model, Path(sys.argv[1]) / f"{name}.joblib")
