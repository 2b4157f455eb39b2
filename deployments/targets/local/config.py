"""What the local target is given: where it keeps its things and how it shuts its children in."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

SandboxChoice = Literal["auto", "bubblewrap", "landlock", "none"]

_PASSED = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "HOME", "PATH", "NETRC", "XDG_CACHE_HOME")
_STORAGE = "AzureWebJobsStorage"  # what the Functions host calls it
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_FROM_PIP = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
}


def index_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that uv needs to reach package indexes: its own, proxies, authorities, and pip's mirrors."""
    chosen = {name: environment[name] for name in _PASSED if name in environment}
    for name, value in environment.items():
        if name.upper() in _PROXIES or name.startswith("UV_"):
            chosen[name] = value
    for pip_name, uv_name in _FROM_PIP.items():
        if pip_name in environment:
            chosen.setdefault(uv_name, environment[pip_name])
    return chosen


@dataclass(frozen=True)
class LocalConfig:
    """The local target's settings. `root` belongs to it alone; `scoring_root` holds the scoring image's files.

    `storage` is the connection string of a Blob service that takes the place of folders of blobs; empty for none.
    """

    root: Path
    scoring_root: Path
    enabled: bool = True
    sandbox: SandboxChoice = "auto"
    storage: str = field(default_factory=lambda: os.environ.get(_STORAGE, ""), repr=False)
    index_env: Mapping[str, str] = field(default_factory=index_environment, repr=False)
