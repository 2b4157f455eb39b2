"""What is drawn: axes, sparklines, the waves of a plan, and the words for numbers and moments."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.web.axis import MOST_TICKS, axis_for
from console.web.formats import ago, duration, moment, sentence
from console.web.plan import lay_out
from console.web.sparkline import spark_path
from console.web.timeline import lanes
from deployments.models import Run, StepRecord
from deployments.services.plans import Change, Plan, PlannedChange

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@given(st.floats(min_value=0, max_value=300_000))
def test_an_axis_holds_what_it_was_made_for(seconds: float) -> None:
    axis = axis_for(seconds)
    assert axis.length >= seconds
    assert 2 <= len(axis.ticks()) <= MOST_TICKS + 1
    assert (axis.ticks()[0].at, axis.ticks()[-1].at) == ("0.00%", "100.00%")


def test_an_axis_of_minutes_tells_the_clock_and_a_plan_the_time() -> None:
    assert [tick.label for tick in axis_for(720, begin=NOON).ticks()] == ["12:00", "12:03", "12:06", "12:09", "12:12"]
    assert axis_for(4).ticks()[-1].label == "4 s"


def test_a_sparkline_keeps_its_scale_and_breaks_at_gaps() -> None:
    flat = spark_path([0.5, 0.5, None, 1.0])
    assert flat["path"] == "M0.0 12.0 28.3 12.0 M85.0 2.0"
    assert (flat["x"], flat["y"]) == ("85.0", "2.0")
    assert spark_path([None, None])["path"] is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.42, "420 ms"),
        (31, "31 s"),
        (112, "1 m 52 s"),
        (300, "5 min"),
        (86_400, "24 h"),
        (7500, "2 h 05 m"),
        (400_000, "4 days"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("past", "words"),
    [(5, "just now"), (720, "12 min ago"), (14_400, "4 h ago"), (90_000, "yesterday"), (-90_000, "in 25 h")],
)
def test_ages_read_as_people_say_them(past: int, words: str) -> None:
    assert ago(NOON - timedelta(seconds=past), now=NOON) == words


def test_a_moment_names_its_day_only_when_it_must() -> None:
    assert moment(NOON - timedelta(hours=2), now=NOON) == "today 10:00"
    assert moment(NOON - timedelta(days=20), now=NOON) == "2 Nov 12:00"
    assert moment(NOON - timedelta(days=400), now=NOON) == "18 Oct 2025 12:00"


def test_a_sentence_ends_once() -> None:
    assert [sentence("Go"), sentence("Go."), sentence("")] == ["Go.", "Go.", ""]


def change(key: str, needs: tuple[str, ...], action: Change, seconds: float | None) -> PlannedChange:
    return PlannedChange(
        key=key,
        title=key.capitalize(),
        name=key,
        stage="deploy",
        needs=needs,
        action=action,
        why="",
        irreversible="",
        properties={"size": "64 MB", "port": ""},
        seconds=seconds,
    )


def test_a_plan_takes_its_longest_chain_and_draws_it_in_waves() -> None:
    plan = Plan(
        digest="",
        changes=(
            change("cache", (), Change.CREATE, 2.0),
            change("image", (), Change.CREATE, 6.0),
            change("function", ("cache", "image"), Change.CREATE, 2.0),
            change("old", ("function",), Change.DELETE, None),
        ),
    )
    view = lay_out(plan)
    assert [[row.change.key for row in wave.rows] for wave in view.waves] == [["cache", "image"], ["function"], ["old"]]
    assert (view.total, view.one_by_one, view.summary) == ("8 s", "10 s", "3 to create, 1 to delete")
    function = view.waves[1].rows[0]
    assert (function.x, function.width) == ("75.00%", "25.00%")
    assert view.waves[0].rows[0].facts == "size 64 MB"
    assert view.waves[2].rows[0].width == "", "a change of unknown length has no bar"


LONG_WORDS = "The model needs the package xgboost, which is not in its environment."


@pytest.mark.parametrize(
    ("begin", "end", "words", "place"),
    [
        (0, 3, LONG_WORDS[:30], ("31.00%", "start")),
        (8, 9, LONG_WORDS, ("79.00%", "end")),
        (2, 9, LONG_WORDS, ("", "")),
    ],
    ids=["behind", "before", "no room"],
)
def test_the_words_of_a_bar_never_run_into_anything(begin: int, end: int, words: str, place: tuple[str, str]) -> None:
    run = Run(pk=1, state="failed", created_at=NOON, started_at=NOON, finished_at=NOON + timedelta(seconds=10))
    step = StepRecord(
        key="image",
        kind="image",
        state="failed",
        started_at=NOON + timedelta(seconds=begin),
        finished_at=NOON + timedelta(seconds=end),
        error={"code": "", "message": words},
    )
    lane = lanes(run, [step], {}, now=NOON)[1][0]
    assert (lane.text_at, lane.text_anchor) == place
    assert lane.text == words, "it is still said to whoever cannot see the bar"


def test_what_has_not_begun_is_expected_after_what_it_needs() -> None:
    run = Run(pk=1, state="running", created_at=NOON, started_at=NOON)
    now = NOON + timedelta(seconds=4)
    image = StepRecord(key="image", kind="image", state="running", started_at=NOON)
    function = StepRecord(key="function", kind="function", state="queued", needs=["image"])
    axis, (first, second) = lanes(run, [image, function], {"image": 10.0, "function": 5.0}, now=now)
    assert axis.length == 15
    assert [rect.width for rect in first.rects] == ["66.67%", "26.67%"]
    assert first.text == "about 6 s left"
    assert (second.rects[0].css, second.rects[0].x, second.subtitle) == ("wait", "66.67%", "needs image")
