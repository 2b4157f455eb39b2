"""An entry script for azureml-inference-server-http, made to cache with redis-py."""

from __future__ import annotations

import json
import os
from hashlib import sha256

import joblib
import numpy as np
import redis


def init() -> None:
    global model, cache
    model = joblib.load(os.environ["MODEL_FILE"])
    cache = redis.Redis(port=int(os.environ["REDIS_PORT"]))


def run(raw_data: str) -> list[int]:
    rows = json.loads(raw_data)["data"]
    key = f"aml:{sha256(json.dumps(rows).encode()).hexdigest()}"
    stored = cache.get(key)
    if stored is not None:
        return json.loads(stored)
    output = model.predict(np.array(rows)).tolist()
    cache.set(key, json.dumps(output))
    return output
