"""The first start's proof: train the sample model, deploy it as anybody would, ask it twice."""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import httpx

from console.boot.progress import Refused, say
from console.boot.rest import CallFailed, Rest
from console.home import CHECKOUT

NAME = "digits"
ENVIRONMENT = "local"


@dataclass(frozen=True)
class Asked:
    """The answers to the two requests; times in milliseconds as the console measured them."""

    labels: list[int]
    verdicts: tuple[str, str]
    milliseconds: tuple[float, float]


def deploy(rest: Rest) -> Asked:
    """Raises Refused when a step fails; started again, it takes up what is there."""
    with tempfile.TemporaryDirectory(prefix="sample-") as folder:
        model = Path(folder) / f"{NAME}.joblib"
        say("Training the sample model on scikit-learn's handwritten digits")
        trained = subprocess.run(
            [sys.executable, CHECKOUT / "samples" / "digits.py", model],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        about = json.loads(trained.stdout)
        say(f"Trained: {about['accuracy']:.1%} right on digits it had not seen. Uploading it")
        artifact = rest.upload(model)
    rest.put_deployment(NAME, {"name": NAME, "environment": ENVIRONMENT, "model": {"artifact": artifact}})
    follow(rest, NAME, rest.start_run(NAME, "deploy"))
    return _ask_twice(rest, about["rows"], about["labels"])


def function_url(rest: Rest) -> str | None:
    """Where the sample's function answers; None where it was destroyed since."""
    try:
        url = rest.deployment(NAME)["url"]
    except CallFailed as refusal:
        if refusal.status == httpx.codes.NOT_FOUND:
            return None
        raise
    return str(url) if url else None


def follow(rest: Rest, name: str, run: str) -> None:
    """Print the run's events until it is over. Raises Refused when it did not succeed."""
    say(f"Run {run} of {name} started")
    for event in rest.follow(run):
        if event["level"] != "log":
            say(f"  {event['message']}")
    state = rest.run(run)["state"]
    if state != "succeeded":
        raise Refused(f"Run {run} of {name} {state}; the run's page in the console says why and what to do.")


def _ask_twice(rest: Rest, rows: list[list[float]], labels: list[int]) -> Asked:
    say("Scoring two rows, twice")
    answers = [rest.invoke(NAME, {"data": rows}) for _ in range(2)]
    for answer in answers:
        if answer["status"] != 200 or answer["body"] != labels:
            raise Refused(
                f"The function answered {answer['status']} {answer['body']} where {labels} is right."
                f" Its log is on the page of {NAME} in the console."
            )
    first, second = answers
    if second["cache"] != "hit":
        raise Refused(
            f"The function answers, but without its cache: {first['cache']}, then {second['cache']}."
            f" The cache's log is on the page of {NAME} in the console."
        )
    return Asked(
        labels=labels,
        verdicts=(str(first["cache"]), str(second["cache"])),
        milliseconds=(first["duration_ms"], second["duration_ms"]),
    )
