"""Equal requests that arrive together are computed once; others, and those that ask for it, on their own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.scoring.processes import Function, Redis, wait_for

Serve = Callable[..., Function]


def together(function: Function, rows: list[list[float]], count: int, **headers: str) -> list[str]:
    with ThreadPoolExecutor(count) as callers:
        answers = list(callers.map(lambda _: function.score(rows, **headers), range(count)))
    assert {answer.text for answer in answers} == {f"[{sum(rows[0])}]"}
    return sorted(answer.headers["x-cache"] for answer in answers)


def test_equal_misses_are_predicted_once(serve: Serve, cache_server: Redis, counting: Path) -> None:
    function = serve(counting, SCORING_CACHE_URL=cache_server.url, SCORING_CACHE_PREFIX="flight").ready()
    verdicts = together(function, [[-2.0, 1.5]], 10)
    assert function.predictions() == 1
    assert set(verdicts) <= {"MISS", "HIT"}
    assert function.verdict([[-2.0, 1.5]]) == "HIT"


def test_equal_requests_share_a_prediction_while_the_cache_is_down(serve: Serve, counting: Path) -> None:
    function = serve(counting, SCORING_CACHE_URL="redis://127.0.0.1:1/0").ready()
    together(function, [[-2.0, 1.5]], 8)
    assert function.predictions() < 4


def test_no_store_and_no_cache_are_computed_each(serve: Serve, cache_server: Redis, counting: Path) -> None:
    function = serve(counting, SCORING_CACHE_URL=cache_server.url, SCORING_CACHE_PREFIX="each").ready()
    assert together(function, [[1.5, 1.5]], 5, cache_control="no-store") == ["BYPASS"] * 5
    assert function.predictions() == 5
    assert together(function, [[1.5, 1.5]], 5, cache_control="no-cache") == ["MISS"] * 5
    assert function.predictions() == 10


def test_a_failure_is_everybodys_and_is_not_stored(serve: Serve, cache_server: Redis, counting: Path) -> None:
    function = serve(counting, SCORING_CACHE_URL=cache_server.url, SCORING_CACHE_PREFIX="fail").ready()
    with ThreadPoolExecutor(4) as callers:
        answers = list(callers.map(lambda _: function.score([[-1, 1]]), range(4)))
    for answer in answers:
        assert answer.status_code == 500
        error = answer.json()["error"]
        assert error["code"] == "model_error"
        assert "The model raised ArithmeticError: no answer for -1" in error["message"]
    assert not list(cache_server.client.scan_iter("fail:*:q:*"))
    assert "Traceback" in function.log
    before = function.predictions()
    assert function.score([[-1, 1]]).status_code == 500
    assert function.predictions() == before + 1
    wait_for(lambda: function.verdict([[1, 1]]) in ("MISS", "HIT"))
