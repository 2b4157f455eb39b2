"""The predictor's work once it was told to open a model: one job after the other."""

from __future__ import annotations

import json
import logging
import os
import socket
from pathlib import Path
from typing import BinaryIO

import msgspec

from scoring.errors import ScoringError
from scoring.manifest import read_manifest
from scoring.model import Scorer, open_scorer
from scoring.predictions import predict
from scoring.watchdog import Watchdog
from scoring.wire import LENGTH, Done, Job, framed, refusal_of

# Where both want the same core, whoever only looks something up goes first.
_NICE = 10
# A prediction that was given up is let be a little longer: it may be about to return.
_GRACE = 2.0

log = logging.getLogger("scoring")


def serve(connection: socket.socket, frames: BinaryIO, *, root: str, seconds: float) -> None:
    """Open the package in `root` and answer jobs until the other end is closed.

    A prediction that takes longer than `seconds` is given up by the other end; one that does not return even then
    ends this process, with a trace of where it was.
    """
    os.nice(_NICE)
    try:
        scorer = open_scorer(Path(root), read_manifest(Path(root)))
    except Exception as error:
        log.exception("the predictor could not open the model")
        connection.sendall(framed(json.dumps({"ok": False, "message": str(error)}).encode()))
        return
    connection.sendall(framed(b'{"ok": true}'))
    watchdog = Watchdog("a prediction")
    decoder, encoder = msgspec.msgpack.Decoder(Job), msgspec.msgpack.Encoder()
    while len(head := frames.read(LENGTH.size)) == LENGTH.size:
        job = decoder.decode(frames.read(*LENGTH.unpack(head)))
        watchdog.watch(seconds + _GRACE)
        done = _done(scorer, job)
        watchdog.rest()
        connection.sendall(framed(encoder.encode(done)))


def _done(scorer: Scorer, job: Job) -> Done:
    try:
        output, took = predict(scorer, scorer.reader.read(job.body, job.asked))
    except ScoringError as error:
        return Done(job.number, 0.0, b"", refusal_of(error))
    return Done(job.number, took, output, None)
