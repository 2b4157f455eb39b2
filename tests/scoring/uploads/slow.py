"""Uploaded helper code: a model that takes its time, and can end or hang."""

import os
import time
from pathlib import Path


class SlowModel:
    """Answers the sum of each row after 20 ms; a first value of -1 ends its process, one of -2 makes it hang."""

    n_features_in_ = 2

    def predict(self, rows):
        with Path(os.environ.get("COUNT_FILE", os.devnull)).open("a") as file:
            file.write(f"{os.getpid()}\n")
        if rows[0][0] == -1:
            os._exit(9)
        time.sleep(60 if rows[0][0] == -2 else 0.02)
        return rows.sum(axis=1)
