"""What a function says of itself now, and which form of its model executes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from ..domain.errors import ConsoleError
from ..invoker import Call, send
from ..models import Deployment
from ..policy import Actor, Verb
from .access import require
from .invocations import live_function

PATIENCE = 5.0  # seconds
IMAGE = "image"  # key of the resource whose outputs tell what executes


@dataclass(frozen=True, slots=True)
class Execution:
    """`form` is onnx or original; `gain` how many times faster it was than the original, where that was measured."""

    form: Literal["onnx", "original"]
    reason: str
    gain: float | None


def health(*, actor: Actor, deployment: Deployment) -> dict[str, Any]:
    """The function's `/healthz`: status, model version, what executes and why, the cache's policy and state.

    Raises NotAllowed, Conflict where nothing is live, Unavailable where the function does not answer in 5 seconds,
    ConsoleError for an answer that is none.
    """
    require(actor, Verb.VIEW, deployment.environment, subject=deployment.name)
    url = urlsplit(str(live_function(deployment).outputs["url"]))
    answer = send(f"{url.scheme}://{url.netloc}/healthz", Call(body=None, method="GET"), seconds=PATIENCE)
    if not isinstance(answer.body, dict):
        raise ConsoleError(
            f"The function answered {answer.status} and says nothing of its health.",
            code="no_health",
            cause="Something else answers at its address.",
            action="Start a restart run of the deployment.",
        )
    return answer.body


def execution_of(deployment: Deployment) -> Execution | None:
    """Of the package that was built last; None where it does not tell, as those of older consoles."""
    row = deployment.resources.filter(key=IMAGE).exclude(ready_at=None).order_by("-ready_at").first()
    return execution_in(row.outputs) if row is not None else None


def execution_in(told: Mapping[str, Any]) -> Execution | None:
    """From the outputs of a package, or from what a function says of its health."""
    form = told.get("executes")
    if form not in ("onnx", "original"):
        return None
    try:
        gain = float(told.get("gain") or 0) or None
    except (TypeError, ValueError):
        gain = None
    return Execution("onnx" if form == "onnx" else "original", str(told.get("reason") or ""), gain)
