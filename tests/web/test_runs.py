"""A run's page: its timeline, failure and log by cursor, and what can be done with it."""

import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from console.web.log import WINDOW
from deployments.domain.states import RunKind, RunState
from deployments.models import Event, Run
from deployments.models.runs import append_events
from tests import factories

REFUSED = {"paper-fault": "function=refused"}


def page(client: Client, run: Run, **query: object) -> str:
    answer = client.get(reverse("web:run", args=[run.pk]), query)
    assert answer.status_code == 200
    return answer.content.decode()


def lines(page_or_part: str) -> list[int]:
    return [int(number) for number in re.findall(r'<li id="l(\d+)"', page_or_part)]


@pytest.fixture
def failed(deployer: Client) -> Run:
    return factories.finished(factories.started(factories.deployment(tags=REFUSED)))


def test_a_finished_run_shows_its_steps_and_all_lines(deployer: Client) -> None:
    run = factories.finished(factories.started(factories.deployment()))
    seen = page(deployer, run)
    assert seen.count('class="plan-row') == run.steps.count() == 3
    assert lines(seen) == list(range(1, run.last_seq + 1))
    assert "data-poll" not in seen, "a run that is over is not asked about any more"


def test_a_failure_says_what_why_and_what_next(deployer: Client, failed: Run) -> None:
    seen = page(deployer, failed)
    error = failed.steps.get(state="failed").error_detail
    assert error is not None
    for text in (error.message, error.cause, error.action):
        assert text.replace("'", "&#x27;") in seen
    assert "Keeps Cache, Image; starts again at Function." in seen
    assert reverse("web:run_retry", args=[failed.pk]) in seen


def test_a_failed_run_is_tried_again_as_a_new_run(deployer: Client, failed: Run) -> None:
    answer = deployer.post(reverse("web:run_retry", args=[failed.pk]))
    again = Run.objects.get(retry_of=failed)
    assert answer["Location"] == reverse("web:run", args=[again.pk])


def test_a_refused_retry_is_told_on_the_page(deployer: Client) -> None:
    run = factories.finished(factories.started(factories.deployment()))
    seen = deployer.post(reverse("web:run_retry", args=[run.pk]), follow=True).content.decode()
    assert "Only a failed or cancelled run can be tried again." in seen


def test_the_offered_requirement_makes_a_revision_and_deploys_it(deployer: Client, failed: Run) -> None:
    fix = {"field": "runtime.requirements", "add": "xgboost"}
    failed.steps.filter(state="failed").update(error={"code": "missing_module", "message": "no xgboost", "fix": fix})
    assert "Add xgboost and deploy" in page(deployer, failed)
    deployer.post(reverse("web:run_fix", args=[failed.pk]))
    newest = failed.deployment.latest_revision()
    assert newest.spec.runtime.requirements == ("xgboost",)
    assert failed.deployment.runs.first() == Run.objects.get(revision=newest)


def test_without_an_offer_there_is_nothing_to_fix(deployer: Client, failed: Run) -> None:
    assert deployer.post(reverse("web:run_fix", args=[failed.pk])).status_code == 404


def test_a_run_is_cancelled_once(deployer: Client) -> None:
    run = factories.started(factories.deployment())
    deployer.post(reverse("web:run_cancel", args=[run.pk]))
    assert "Cancelling…" in page(deployer, run)
    assert factories.finished(run).state == RunState.CANCELLED
    seen = deployer.post(reverse("web:run_cancel", args=[run.pk]), follow=True).content.decode()
    assert "There is nothing to cancel." in seen


def test_a_viewer_sees_a_run_and_no_buttons(viewer: Client) -> None:
    run = factories.started(factories.deployment())
    seen = page(viewer, run)
    assert reverse("web:run_cancel", args=[run.pk]) not in seen
    assert viewer.post(reverse("web:run_cancel", args=[run.pk])).status_code == 403


def test_what_waits_for_somebody_is_said(deployer: Client) -> None:
    run = factories.started(factories.deployment(tags={"paper-fault": "cache=waiting"}))
    with pytest.raises(AssertionError):
        factories.finished(run, visits=12)
    seen = page(deployer, run)
    assert "Cache waits for" in seen
    assert run.steps.get(state="waiting").waiting_for in seen


@pytest.fixture
def long_run(deployer: Client) -> Run:
    run = factories.started(factories.deployment())
    told = [("image", "error" if number % 100 == 0 else "log", f"line {number}") for number in range(2, 1201)]
    append_events(run.pk, told, now=timezone.now())
    return Run.objects.get(pk=run.pk)


def test_a_long_log_begins_at_its_end_and_goes_back(deployer: Client, long_run: Run) -> None:
    newest = lines(page(deployer, long_run))
    assert newest == list(range(1200 - WINDOW + 1, 1201))
    earlier = page(deployer, long_run, before=newest[0])
    assert lines(earlier) == list(range(newest[0] - WINDOW, newest[0]))
    assert "data-poll" not in earlier, "what is read back does not move under the reader"


def test_a_line_has_an_address(deployer: Client, long_run: Run) -> None:
    assert 300 in lines(page(deployer, long_run, line=300))
    assert 'href="?line=1200#l1200"' in page(deployer, long_run)


def test_the_log_is_filtered_by_words_step_and_level(deployer: Client, long_run: Run) -> None:
    assert lines(page(deployer, long_run, q="LINE 77")) == [77, *range(770, 780)]
    assert lines(page(deployer, long_run, level="errors")) == list(range(100, 1201, 100))
    assert lines(page(deployer, long_run, step="image", level="events")) == list(range(100, 1201, 100))
    assert "No line matches." in page(deployer, long_run, q="nowhere")


def test_the_tail_brings_only_what_is_new_and_asks_again(deployer: Client, long_run: Run) -> None:
    address = reverse("web:run_log", args=[long_run.pk])
    part = deployer.get(address, {"after": 1195, "shown": "queued-0"}).content.decode()
    assert lines(part) == [1196, 1197, 1198, 1199, 1200]
    assert "after=1200&amp;wait=1000" in part
    assert 'id="run-steps"' in part
    assert 'id="run-head"' not in part, "what has not changed is not sent again"
    waits = []
    for _look in range(6):
        part = deployer.get(address, {"after": 1200, "wait": waits[-1] if waits else 1000}).content.decode()
        waits.append(int(re.search(r"wait=(\d+)", part)[1]))  # type: ignore[index]
    assert waits == [1500, 2250, 3375, 5000, 5000, 5000]


def test_the_tail_tells_the_end_and_stops(deployer: Client) -> None:
    run = factories.finished(factories.started(factories.deployment()))
    part = deployer.get(reverse("web:run_log", args=[run.pk]), {"after": 2, "shown": "running-0"}).content.decode()
    assert lines(part) == list(range(3, run.last_seq + 1))
    assert 'id="run-head" hx-swap-oob="true"' in part
    assert "data-poll" not in part


def test_a_line_is_text_and_never_markup(deployer: Client) -> None:
    run = factories.started(factories.deployment())
    append_events(run.pk, [("image", "log", "<script>alert(1)</script>")], now=timezone.now())
    assert "<script>alert" not in page(deployer, run)


def test_the_download_is_the_whole_log(deployer: Client, long_run: Run) -> None:
    answer = deployer.get(reverse("web:run_log_download", args=[long_run.pk]))
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    assert len(text.splitlines()) == Event.objects.filter(run=long_run).count() == 1200
    assert "attachment" in answer["Content-Disposition"]


def test_the_list_is_narrowed_by_what_is_asked(deployer: Client, failed: Run) -> None:
    oak = factories.finished(factories.started(factories.deployment("oak")))
    gone = factories.finished(factories.started(oak.deployment, RunKind.DESTROY))

    def shown(**query: str) -> set[int]:
        seen = deployer.get(reverse("web:runs"), query).content.decode()
        return {int(number) for number in re.findall(r'role="rowheader"><a href="/runs/(\d+)/"', seen)}

    assert shown() == {failed.pk, oak.pk, gone.pk}
    assert shown(state="failed") == {failed.pk}
    assert shown(kind="destroy") == {gone.pk}
    assert shown(q="oak", state="succeeded") == {oak.pk, gone.pk}
    assert shown(environment="nowhere") == set()
    assert shown(q=str(failed.pk)) >= {failed.pk}
