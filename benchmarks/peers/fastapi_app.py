"""FastAPI as one writes it with some care: the model opened once, orjson, redis.asyncio, answers stored ready to send.

`CACHE=no` leaves Redis out. A model that takes long (`SLOW_MODEL=yes`) is asked in a thread, so that other requests
are answered meanwhile; for a fast one the thread would cost more than the model.
"""

from __future__ import annotations

import os
from hashlib import sha256

import joblib
import numpy as np
import orjson
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from redis.asyncio import Redis

MODEL = joblib.load(os.environ["MODEL_FILE"])
SLOW = os.environ.get("SLOW_MODEL") == "yes"
CACHES = os.environ.get("CACHE") != "no"

app = FastAPI()
redis = Redis(port=int(os.environ["REDIS_PORT"]))


@app.post("/api/score")
async def score(request: Request) -> Response:
    try:
        rows = orjson.loads(await request.body())["data"]
        array = np.array(rows, dtype=np.float64)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise HTTPException(400, "data must be rows of numbers") from error
    if array.ndim != 2 or array.shape[1] != MODEL.n_features_in_:
        raise HTTPException(400, f"every row must have {MODEL.n_features_in_} numbers")
    if not CACHES:
        return _answer(await _predict(array), "BYPASS")
    key = f"fastapi:{sha256(orjson.dumps(rows)).hexdigest()}"
    stored = await redis.get(key)
    if stored is not None:
        return _answer(stored, "HIT")
    output = await _predict(array)
    await redis.set(key, output)
    return _answer(output, "MISS")


async def _predict(array: np.ndarray) -> bytes:
    labels = await run_in_threadpool(MODEL.predict, array) if SLOW else MODEL.predict(array)
    return orjson.dumps(labels, option=orjson.OPT_SERIALIZE_NUMPY)


def _answer(output: bytes, verdict: str) -> Response:
    return Response(output, media_type="application/json", headers={"X-Cache": verdict})
