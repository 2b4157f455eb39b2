"""The environment of a function's scoring server: its settings, its keys, and its way to the cache."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...domain.errors import ResourceFailed
from ...redis_server import FUNCTION_USER
from . import sandbox
from .cache import FUNCTION_PASSWORD
from .folders import Folder
from .ports import HOST
from .sandbox import Mode


def package_settings(job: Mapping[str, Any]) -> dict[str, str]:
    """Where a process of the package finds it."""
    return {"SCORING_ROOT": job["package"], "PYTHONPATH": job["package"]}


def server_settings(folder: Folder, job: Mapping[str, Any], mode: Mode, descriptor: int) -> dict[str, str]:
    """The scoring server's environment, secrets included: an environment is not shown by `ps`.

    Raises ResourceFailed where a secret of its cache is gone.
    """
    settings = {
        **job["environment"],
        **package_settings(job),
        "SCORING_FD": str(descriptor),
        "SCORING_FUNCTION_KEYS": folder.secret("key") if job["needs_key"] else "",
    }
    if job.get("keyed_digests"):
        # Without it digests would be plain ones, from which inputs can be guessed.
        settings["SCORING_DIGEST_KEY"] = _kept_secret(job, "digest_key")
    if job["cache_socket"]:
        settings["SCORING_CACHE_PASSWORD"] = _kept_secret(job, FUNCTION_PASSWORD)
        name = Path(job["cache_socket"]).name
        settings["SCORING_CACHE_URL"] = (
            f"unix://{FUNCTION_USER}@{sandbox.SOCKET_FOLDER}/{name}?db=0"
            if mode == "bubblewrap"
            else f"redis://{FUNCTION_USER}@{HOST}:{job['cache_port']}/0"
        )
    return settings


def _kept_secret(job: Mapping[str, Any], name: str) -> str:
    folder = Folder(Path(job["cache_folder"]))
    if secret := folder.known_secret(name):
        return secret
    raise ResourceFailed(
        "The function cannot start without a secret of its cache.",
        code="secret_lost",
        cause=f"The file {name} in the cache's folder was removed or emptied.",
        action="Restart the deployment: the secret is made anew, and answers that are stored may not be found again.",
    )
