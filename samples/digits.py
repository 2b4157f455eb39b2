"""Trains the sample model on the handwritten digits that come with scikit-learn; downloads nothing.

`python samples/digits.py FILE` writes the model to FILE and prints one JSON line about it. It is a program of
its own because the console itself never imports scikit-learn.
"""

import json
import sys

import joblib
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC


def main(path: str) -> None:
    images, labels = load_digits(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(images, labels, test_size=0.25, random_state=0)
    model = make_pipeline(StandardScaler(), SVC()).fit(train, train_labels)
    joblib.dump(model, path, compress=3)
    about = {
        "accuracy": float(model.score(test, test_labels)),
        "rows": test[:2].tolist(),
        "labels": test_labels[:2].tolist(),
    }
    print(json.dumps(about))


if __name__ == "__main__":
    main(sys.argv[1])
