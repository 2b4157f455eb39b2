"""An uploaded entry script, written as for Azure Machine Learning."""

import json
import os
from pathlib import Path

import joblib

MODEL = None
RUNS = 0


def init():
    global MODEL
    MODEL = joblib.load(next(Path(os.environ["AZUREML_MODEL_DIR"]).glob("*.joblib")))


def run(raw_data):
    global RUNS
    RUNS += 1
    rows = json.loads(raw_data)["data"]
    if not rows:
        return None
    return {"labels": MODEL.predict(rows).tolist(), "runs": RUNS}
