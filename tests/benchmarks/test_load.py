"""What wrk prints becomes figures, and a run with failures becomes none."""

from __future__ import annotations

import pytest

from benchmarks.load import BadRunError, Run, read

PRINTED = """Running 2s test @ http://127.0.0.1:7002
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.59ms  310.00us   9.80ms   91.37%
    Req/Sec    20.21k     1.17k   21.83k    80.00%
  Latency Distribution
     50%  250.00us
     75%    1.64ms
     90%    1.80ms
     99%    1.02s
  40211 requests in 2.00s, 9.50MB read
Requests/sec:  20104.91
Transfer/sec:      4.75MB
"""


def test_rate_and_latencies_are_read() -> None:
    assert read(PRINTED) == Run(rate=20104.91, p50=0.25, p99=1020.0, requests=40211)


@pytest.mark.parametrize(
    "line", ["  Non-2xx or 3xx responses: 3", "  Socket errors: connect 0, read 2, write 0, timeout 0"]
)
def test_a_run_with_failures_has_no_figures(line: str) -> None:
    with pytest.raises(BadRunError, match=line.strip()):
        read(PRINTED.replace("Requests/sec", f"{line}\nRequests/sec"))


def test_a_run_without_an_answer_has_no_figures() -> None:
    with pytest.raises(BadRunError, match="something else"):
        read(PRINTED.replace("250.00us", "-nan%"))
