"""Home: what needs somebody, worst first; figures of real caches; and what to begin with."""

from datetime import timedelta

from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from console.web.traffic import chart, together, told
from deployments.cache.statistics import CacheStatistics, Latency, Point, Savings, ServerFacts
from deployments.domain.states import RunKind
from deployments.models import Environment, Run, Sighting, WorkerSeen
from deployments.services.artifacts import upload_artifact
from deployments.services.deployments import change_deployment
from deployments.services.tokens import create_token
from tests import factories
from tests.web.conftest import Browse


def home(client: Client) -> str:
    return client.get("/").content.decode()


def test_with_nothing_deployed_home_says_how_to_begin(deployer: Client, viewer: Client) -> None:
    assert reverse("web:wizard_new") in home(deployer)
    assert "Somebody with the role deployer" in home(viewer)


def test_the_sample_is_deployed_with_one_button(deployer: Client, browse: Browse) -> None:
    """Its model is in the store since the first start; who may not use it, or deploy locally, is not offered it."""
    lena = factories.member("lena", factories.environment("local", "paper"), "deployer")
    starter = browse(lena)
    assert reverse("web:sample") not in home(starter)
    model, _new = upload_artifact(actor=lena, name="digits.joblib", chunks=[b"\x80\x04digits"])
    button = reverse("web:sample")
    assert button not in home(deployer)
    assert deployer.post(button).status_code == 404
    assert button in home(starter)
    answer = starter.post(button)
    run = Run.objects.get()
    assert answer["Location"] == reverse("web:run", args=[run.pk])
    assert (run.deployment.name, run.revision.spec.model.artifact) == ("digits", model.pk)
    assert "The name digits is taken" in starter.post(button, follow=True).content.decode()


def test_a_stranger_is_told_whom_to_ask(paper: Environment, browse: Browse) -> None:
    nobody = factories.member("nobody", paper, "viewer")
    nobody.user.memberships.all().delete()
    assert "Ask an administrator for a role" in home(browse(nobody))


def test_what_failed_comes_before_what_waits_and_what_is_well_is_not_listed(deployer: Client) -> None:
    WorkerSeen.objects.create(name="one", at=timezone.now())
    factories.finished(factories.started(factories.deployment("well")))
    waiting = factories.deployment("patient", tags={"paper-fault": "cache=waiting"})
    run = factories.started(waiting)
    while not run.steps.filter(state="waiting").exists():
        visit(run)
    factories.finished(factories.started(factories.deployment("broken", tags={"paper-fault": "image=broken"})))
    seen = home(deployer)
    listed = seen[seen.index('class="attn"') : seen.index("</section>")]
    assert listed.index("broken") < listed.index("patient")
    assert "well" not in listed
    assert "failed at Image" in listed
    assert "No worker answers" not in listed


def test_a_failure_over_a_live_revision_says_that_it_still_serves(deployer: Client) -> None:
    found = factories.deployment()
    factories.finished(factories.started(found))
    spec = factories.spec(tags={"paper-fault": "function=refused"}, cache={"ttl_seconds": 60})
    change_deployment(actor=factories.administrator(), deployment=found, spec=spec)
    factories.finished(factories.started(found))
    seen = home(deployer)
    assert "failed at Function; the revision before it still serves" in seen


def test_drift_and_a_silent_worker_need_somebody(deployer: Client) -> None:
    live = factories.finished(factories.started(factories.deployment())).deployment.fresh()
    Sighting.objects.create(
        deployment=live,
        revision=live.live_revision,
        at=timezone.now(),
        differs_since=timezone.now(),
        differences=[{"key": "cache", "title": "Cache", "action": "change", "why": "maxmemory is 32 MB"}],
    )
    seen = home(deployer)
    assert "differs from revision 1" in seen
    assert "Cache: maxmemory is 32 MB." in seen
    assert "No worker answers" in seen


def test_a_token_that_ends_soon_is_announced_to_its_owner_alone(deployer: Client, viewer: Client) -> None:
    factories.deployment()
    owner = get_user_model().objects.get(username="dora")
    soon, later = (timezone.now() + timedelta(days=days) for days in (3, 30))
    create_token(user=owner, name="nightly", scopes=["read"], expires_at=soon)
    create_token(user=owner, name="yearly", scopes=["read"], expires_at=later)
    assert "API token nightly" in home(deployer)
    assert "yearly" not in home(deployer)
    assert "nightly" not in home(viewer)


def test_figures_of_caches_that_do_not_answer_hold_nothing_up(deployer: Client) -> None:
    factories.finished(factories.started(factories.deployment()))
    answer = deployer.get(reverse("web:traffic"), {"name": ["iris", "nothing"]})
    assert answer.status_code == 200
    assert 'id="rate-iris" hx-swap-oob="true"' in answer.content.decode()
    listed = deployer.get(reverse("web:deployments")).content.decode()
    assert "only=rows&amp;name=iris" in listed
    rows = deployer.get(reverse("web:traffic"), {"only": "rows", "name": "iris"}).content.decode()
    assert 'id="rate-iris"' in rows
    assert 'id="figures"' not in rows, "a list has rows to fill and no figures of the day"


def test_only_what_serves_can_be_picked_to_test(deployer: Client, paper: Environment) -> None:
    pick = reverse("web:pick_test")
    assert "no live function" in deployer.get(pick).content.decode()
    live = factories.finished(factories.started(factories.deployment()))
    factories.deployment("new")
    assert deployer.get(pick)["Location"] == reverse("web:test", args=["iris"])
    factories.finished(factories.started(factories.deployment("second")))
    assert "iris" in deployer.get(reverse("web:pick_cache")).content.decode()
    factories.finished(factories.started(live.deployment, RunKind.DESTROY))
    assert deployer.get(pick)["Location"] == reverse("web:test", args=["second"])


def test_figures_add_up_and_name_what_they_count() -> None:
    one, two = statistics(hits=90, misses=10), statistics(hits=0, misses=100)
    answers, rate, _around, saved = together([one, two])
    assert (answers.value, answers.context) == ("200", "counted by 2 functions")
    assert (rate.value, rate.context) == ("45.0", "90 hits, 110 misses")
    assert saved.value == "2 s"
    hit_rate, requests, median, _saved = told(one)
    assert (hit_rate.value, requests.value, median.value) == ("90.0", "100", "1.5 / –")
    assert together([]) == []


def test_a_chart_breaks_where_nothing_was_asked_and_shows_a_single_point() -> None:
    drawn = chart(statistics(hits=1, misses=1, rates=(0.5, 0.5, None, 1.0, None)))
    assert drawn.path == "M0.0 50.0 250.0 50.0 M746.0 0.0H754.0"
    assert len(drawn.labels) == 5


def visit(run: object) -> None:
    try:
        factories.finished(run, visits=1)  # type: ignore[arg-type]
    except AssertionError:
        return


def statistics(*, hits: int, misses: int, rates: tuple[float | None, ...] = ()) -> CacheStatistics:
    now = timezone.now()
    nothing = {"hits": 0, "misses": 0, "bypasses": 0, "errors": 0}
    server = dict.fromkeys(ServerFacts.model_fields)
    return CacheStatistics(
        hits=hits,
        misses=misses,
        bypasses=0,
        errors=0,
        hit_rate=hits / (hits + misses),
        minutes=1440,
        since=now - timedelta(days=1),
        until=now,
        step_minutes=30,
        hit=Latency(median_ms=1.5, p95_ms=3.0),
        miss=Latency(median_ms=None, p95_ms=None),
        predict=Latency(median_ms=None, p95_ms=None),
        redis=Latency(median_ms=None, p95_ms=None),
        saved=Savings(seconds=hits / 45, per_hit_ms=None, share=None),
        series=tuple(Point(at=now, **{**nothing, "hit_rate": rate}) for rate in rates),
        versions=(),
        server=ServerFacts(**{**server, "software": "redis", "address": "", "keys": 0, "policy": ""}),
    )
