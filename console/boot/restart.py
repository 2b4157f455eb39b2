"""A later start: what was live on this machine is brought back to life, by ordinary runs."""

from console.boot.progress import Refused, say
from console.boot.rest import CallFailed, Rest
from console.boot.sample import follow

PATIENCE = 20.0  # seconds for a run that was under way when the console stopped


def live_deployments(rest: Rest) -> None:
    """Restart them side by side, and say which did not come back: one that is broken must not stop the console."""
    here = {environment["name"] for environment in rest.environments() if environment["target"] == "local"}
    names = [
        found["name"]
        for found in rest.deployments()
        if found["environment"] in here and found["live_revision"] is not None
    ]
    if names:
        say(f"Bringing back {', '.join(names)}")
    runs: dict[str, str] = {}
    for name in names:
        try:
            runs[name] = rest.start_run(name, "restart", reason="restart", patience=PATIENCE)
        except CallFailed as failure:
            say(f"{name} did not come back: {failure}")
    for name, run in runs.items():
        try:
            follow(rest, name, run)
        except Refused as failure:
            say(f"{name} did not come back: {failure}")
