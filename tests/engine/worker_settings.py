"""The settings of real workers beside a test, which names its database, its broker and its pretended world."""

import json
import os
from pathlib import Path

from console.settings import *  # noqa: F403

LOCAL_TARGET_ROOT = Path(os.environ["LOCAL_TARGET_ROOT"])
PAPER_TARGET = json.loads(os.environ["PAPER_TARGET"])
