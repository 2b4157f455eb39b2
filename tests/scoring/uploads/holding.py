"""Uploaded helper code: a fast model that can hold up everything, with the interpreter's lock or without."""

import re
import time


class HoldingModel:
    """Answers the sum of each row; a first value of -1 sleeps on, one of -2 computes on and keeps the lock.

    One of -3 computes for a second.
    """

    n_features_in_ = 2

    def predict(self, rows):
        if rows[0][0] == -1:
            time.sleep(600)
        if rows[0][0] == -2:
            re.match("(a+)+$", "a" * 64 + "b")
        began = time.process_time()
        while rows[0][0] == -3 and time.process_time() - began < 1:
            pass
        return rows.sum(axis=1)
