"""The wizard through HTTP: drafts, errors at their fields, the plan that is approved, changes and files."""

from typing import Any

import pytest
import yaml
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from console.web.wizard import yaml_file
from console.web.wizard.situation import Situation
from console.web.wizard.steps import STEPS, assess, values_of
from deployments.domain.spec import Spec
from deployments.models import Artifact, Deployment, Draft, Environment, Run
from deployments.services import plans
from tests import factories

pytestmark = pytest.mark.django_db

MODEL = b"\x80\x04a model"


@pytest.fixture
def env() -> Environment:
    return factories.environment("paper")


@pytest.fixture
def browser(env: Environment) -> Client:
    client = Client()
    client.force_login(factories.member("dora", env, "deployer").user)
    return client


def step_url(draft: Draft, step: str) -> str:
    return reverse("web:wizard_step", args=[draft.pk, step])


def send(browser: Client, draft: Draft, step: str, **fields: Any) -> Any:
    """Send a step as the page would: what it shows, with some fields changed."""
    page = browser.get(step_url(draft, step))
    shown = {name: page.context["form"][name].value() for name in page.context["form"].fields}
    # By identity, for a number may be 0, which equals False.
    data = {
        name: value for name, value in (shown | fields).items() if not (value is None or value is False or value == "")
    }
    return browser.post(step_url(draft, step), data)


def begun(browser: Client, content: bytes = MODEL, name: str = "model.joblib") -> Draft:
    """A draft whose first step holds an uploaded model."""
    fields = {"method": "predict", "python": "3.11", "execution": "auto"}
    file = SimpleUploadedFile(name, content)
    browser.post(reverse("web:wizard_new"), {**fields, "artifact_file": file})
    return Draft.objects.latest("pk")


def complete(browser: Client, name: str = "iris", **cache: Any) -> Draft:
    draft = begun(browser)
    send(browser, draft, "function", name=name)
    send(browser, draft, "cache", **cache)
    send(browser, draft, "environment", environment="paper")
    draft.refresh_from_db()
    return draft


def approve(browser: Client, draft: Draft, **more: str) -> Any:
    page = browser.get(step_url(draft, "review"))
    planned = page.context["planned"]
    data = {"go": "approve", "plan": planned.digest if planned else "", **more}
    return browser.post(step_url(draft, "review"), data)


def deployed(browser: Client, name: str = "iris") -> Deployment:
    approve(browser, complete(browser, name))
    found = Deployment.objects.get(name=name)
    factories.finished(found.runs.get())
    return found


def test_the_first_page_keeps_nothing_before_it_is_sent(browser: Client) -> None:
    assert browser.get(reverse("web:wizard_new")).status_code == 200
    assert not Draft.objects.exists()


def test_an_upload_is_kept_whatever_else_is_wrong(browser: Client) -> None:
    page = browser.post(
        reverse("web:wizard_new"),
        {"method": "guess", "artifact_file": SimpleUploadedFile("model.joblib", MODEL)},
    )
    draft = Draft.objects.get()
    assert page.headers["Location"] == step_url(draft, "model")
    shown = browser.get(step_url(draft, "model"))
    assert shown.context["form"].chosen() == Artifact.objects.get()
    assert "method" in shown.context["form"].errors


def test_an_empty_file_is_refused_at_its_field(browser: Client) -> None:
    page = browser.post(reverse("web:wizard_new"), {"artifact_file": SimpleUploadedFile("model.joblib", b"")})
    assert page.status_code == 422
    assert "The file is empty" in str(page.context["form"].errors["artifact_file"])


@pytest.mark.parametrize(
    ("field", "name", "content"),
    [
        ("artifact_file", "features.py", b"x = 1"),
        ("code_file", "model.joblib", MODEL),
        ("wheel_files", "model.joblib", MODEL),
    ],
)
def test_a_file_in_the_wrong_place_is_told_where_it_belongs(
    browser: Client, field: str, name: str, content: bytes
) -> None:
    page = browser.post(reverse("web:wizard_new"), {field: SimpleUploadedFile(name, content)})
    assert page.status_code == 422
    assert name in str(page.context["form"].errors[field])


def test_leaving_loses_nothing(browser: Client) -> None:
    draft = begun(browser)
    page = browser.post(step_url(draft, "function"), {"name": "Not a name!", "max_rows": "many", "go": "leave"})
    assert page.headers["Location"] == reverse("web:deployments")
    assert "<b>Not a name!</b>" in browser.get(reverse("web:wizard_new")).content.decode()
    shown = browser.get(step_url(draft, "function"))
    text = shown.content.decode()
    assert 'value="Not a name!"' in text
    assert 'value="many"' in text
    assert shown.context["form"].errors.keys() >= {"name", "max_rows"}


def test_errors_are_counted_in_the_rail_and_wait(browser: Client) -> None:
    draft = begun(browser)
    browser.post(step_url(draft, "function"), {"name": "a--b", "trigger": "http", "route": "healthz", "go": "cache"})
    rail = {rung.url: rung for rung in browser.get(step_url(draft, "cache")).context["rail"]}
    assert rail[step_url(draft, "function")].css == "err"
    assert rail[step_url(draft, "model")].css == "done"
    assert rail[step_url(draft, "environment")].css == ""


def test_next_stays_on_a_step_with_errors_and_focuses_the_first(browser: Client) -> None:
    draft = begun(browser)
    page = browser.post(step_url(draft, "function"), {"name": "", "go": "next"}, follow=True)
    assert page.request["PATH_INFO"] == step_url(draft, "function")
    assert page.context["form"].fields["name"].widget.attrs["autofocus"]
    assert page.content.decode().count(" autofocus") == 1


@pytest.mark.parametrize(
    ("step", "fields", "wrong"),
    [
        ("model", {"requirements": "-r other.txt"}, "requirements"),
        ("model", {"index_url": "http://plain.example"}, "index_url"),
        ("model", {"index_url": "https://pypi.example", "index_credentials": "hunter2"}, "index_credentials"),
        ("model", {"conda": "dependencies: []", "requirements": "xgboost"}, "requirements"),
        ("model", {"entry_script": "score.py"}, "code_file"),
        ("function", {"route": "admin/x"}, "route"),
        ("function", {"methods": []}, "methods"),
        ("function", {"max_rows": "0"}, "max_rows"),
        ("function", {"memory_mb": "9000"}, "memory_mb"),
        ("cache", {"size": "4096"}, "size"),
        ("cache", {"ttl": "other"}, "ttl_amount"),
        ("cache", {"ttl": "other", "ttl_amount": "9000", "ttl_unit": "days"}, "ttl"),
        ("cache", {"store_input": "masked"}, "masked_fields"),
        ("cache", {"local_mb": "2000"}, "local_mb"),
        ("function", {"predict_seconds": "231"}, "predict_seconds"),
        ("environment", {"tags": "owner"}, "tags"),
        ("environment", {"tags": "scoring-x = 1"}, "tags"),
        ("environment", {"environment": "elsewhere"}, "environment"),
    ],
)
def test_each_problem_is_shown_at_its_field(browser: Client, step: str, fields: dict[str, Any], wrong: str) -> None:
    draft = complete(browser)
    send(browser, draft, step, go="stay", **fields)
    form = browser.get(step_url(draft, step)).context["form"]
    assert list(form.errors) == [wrong]
    assert browser.get(step_url(draft, "review")).context["planned"] is None


def test_a_private_index_needs_an_address_and_a_reference_that_the_environment_allows(browser: Client) -> None:
    draft = complete(browser)
    send(browser, draft, "model", index_url="https://pypi.example", index_credentials="env:SCORING_SECRET_PYPI")
    assert "index_url" in browser.get(step_url(draft, "model")).context["form"].errors
    rules = {"allowed_indexes": ["https://pypi.example"]}
    Environment.objects.update(config=rules)
    assert "index_credentials" in browser.get(step_url(draft, "model")).context["form"].errors
    Environment.objects.update(config={**rules, "allowed_secrets": ["SCORING_SECRET_PYPI"]})
    assert not browser.get(step_url(draft, "model")).context["form"].errors


def test_a_trigger_is_chosen_with_its_paths_and_they_are_checked_at_their_field() -> None:
    local = factories.environment("here", target="local")
    client = Client()
    client.force_login(factories.member("dora", local, "deployer").user)
    draft = begun(client)
    send(client, draft, "environment", environment="here")
    send(client, draft, "function", name="iris", trigger="blob", path_in="rows/{name}", path_out="sums/{other}")
    errors = client.get(step_url(draft, "function")).context["form"].errors
    assert "{other}" in str(errors["trigger"])
    send(client, draft, "function", name="iris", trigger="blob", path_in="rows/{name}", path_out="sums/{name}")
    assert not client.get(step_url(draft, "function")).context["form"].errors


def test_required_tags_are_filled_in_before_anybody_types(browser: Client) -> None:
    Environment.objects.update(config={"required_tags": ["owner"]})
    draft = begun(browser)
    assert "owner = " in browser.get(step_url(draft, "environment")).content.decode()
    send(browser, draft, "environment", environment="paper", tags="team = vision")
    form = browser.get(step_url(draft, "environment")).context["form"]
    assert "requires the tag" in str(form.errors["tags"])


def test_a_name_is_checked_as_it_is_typed(browser: Client) -> None:
    factories.deployment("iris")
    url = reverse("web:wizard_name")
    assert "is free" in browser.get(url, {"name": "wine"}).content.decode()
    taken = browser.get(url, {"name": "iris"}).content.decode()
    assert "is taken" in taken
    assert 'data-value="iris-2"' in taken
    assert 'data-value="iris-model"' in browser.get(url, {"name": "Iris Model!"}).content.decode()


def test_approving_creates_the_deployment_and_starts_its_run(browser: Client) -> None:
    draft = complete(browser, size="16", ttl="3600")
    page = approve(browser, draft, note="the first one")
    run = Run.objects.get()
    assert page.headers["Location"] == reverse("web:run", args=[run.pk])
    assert run.deployment.name == "iris"
    assert run.reason == "the first one"
    assert len(run.approved_plan) == 64
    assert run.revision.spec.cache.max_memory_mb == 16
    assert run.revision.spec.cache.ttl_seconds == 3600
    assert not Draft.objects.exists()


def test_another_plan_than_the_approved_one_is_shown_anew(browser: Client) -> None:
    draft = complete(browser)
    page = browser.post(step_url(draft, "review"), {"go": "approve", "plan": "0" * 64})
    assert page.status_code == 409
    assert "The plan has changed" in page.content.decode()
    assert page.context["planned"].digest in page.content.decode()
    assert not Deployment.objects.exists()
    assert not Run.objects.exists()


def test_nothing_starts_while_a_check_fails(browser: Client) -> None:
    draft = begun(browser)
    page = browser.post(step_url(draft, "review"), {"go": "approve", "plan": "0" * 64})
    assert page.status_code == 409
    assert not Deployment.objects.exists()
    assert {check.step for check in page.context["checks"].fails} == {"function"}


def test_a_name_taken_meanwhile_is_said_and_nothing_is_lost(browser: Client) -> None:
    draft = complete(browser)
    factories.deployment("iris")
    page = approve(browser, draft)
    assert page.status_code == 409
    assert "is taken" in page.content.decode()
    assert Draft.objects.filter(pk=draft.pk).exists()


def test_a_change_begins_from_the_newest_revision_and_makes_the_next(browser: Client) -> None:
    deployment = deployed(browser)
    page = browser.get(reverse("web:deployment_change", args=["iris"]))
    draft = Draft.objects.get(deployment=deployment)
    assert page.headers["Location"] == step_url(draft, "model")
    send(browser, draft, "cache", ttl="3600")
    review = browser.get(step_url(draft, "review"))
    assert not review.context["checks"].fails
    approve(browser, draft)
    assert deployment.latest_revision().number == 2
    assert deployment.latest_revision().spec.cache.ttl_seconds == 3600
    assert deployment.runs.first().revision.number == 2


def test_no_change_is_said_and_not_deployed(browser: Client) -> None:
    deployment = deployed(browser)
    browser.get(reverse("web:deployment_change", args=["iris"]))
    page = browser.get(step_url(Draft.objects.get(), "review"))
    assert page.context["nothing_to_do"]
    assert "No change" in page.content.decode()
    assert 'value="approve"' not in page.content.decode()
    assert deployment.revisions.count() == 1


def test_a_second_look_at_a_change_finds_the_same_draft(browser: Client) -> None:
    deployed(browser)
    for _ in range(2):
        browser.get(reverse("web:deployment_change", args=["iris"]))
    assert Draft.objects.count() == 1


def test_an_address_that_is_followed_changes_nothing_of_a_draft(browser: Client) -> None:
    deployed(browser)
    change = reverse("web:deployment_change", args=["iris"])
    browser.get(change)
    before = Draft.objects.get().data
    browser.get(change, {"add_requirement": "evil-package"})
    assert Draft.objects.get().data == before


def test_a_draft_behind_its_deployment_is_warned_of(browser: Client, env: Environment) -> None:
    deployed(browser)
    browser.get(reverse("web:deployment_change", args=["iris"]))
    mine = Draft.objects.get()
    other = Client()
    other.force_login(factories.member("emil", env, "deployer").user)
    other.get(reverse("web:deployment_change", args=["iris"]))
    theirs = Draft.objects.exclude(pk=mine.pk).get()
    send(other, theirs, "cache", ttl="0")
    approve(other, theirs)
    titles = [check.title for check in browser.get(step_url(mine, "review")).context["checks"].checks]
    assert "Revision 2 was made since this draft was begun" in titles
    assert "A run is under way" in titles


def test_what_is_lost_for_good_has_to_be_accepted(browser: Client) -> None:
    deployment = deployed(browser)
    browser.get(reverse("web:deployment_change", args=["iris"]))
    draft = Draft.objects.get()
    send(browser, draft, "cache", policy="off")
    planned = browser.get(step_url(draft, "review")).context["planned"]
    assert planned.irreversible
    assert approve(browser, draft).status_code == 422
    assert deployment.revisions.count() == 1
    assert approve(browser, draft, accepted="1").status_code == 302
    assert deployment.revisions.count() == 2


def test_a_draft_is_its_owners_alone(browser: Client, env: Environment) -> None:
    draft = complete(browser)
    for other in (factories.member("emil", env, "admin"), factories.administrator("boss")):
        client = Client()
        client.force_login(other.user)
        for step in (*STEPS, "review"):
            assert client.get(step_url(draft, step)).status_code == 404
            assert client.post(step_url(draft, step), {"go": "approve"}).status_code == 404
        assert client.get(reverse("web:wizard_yaml", args=[draft.pk])).status_code == 404
        assert client.post(reverse("web:wizard_discard", args=[draft.pk])).status_code == 404
    assert Draft.objects.filter(pk=draft.pk).exists()


def test_a_tester_deploys_nothing(env: Environment) -> None:
    client = Client()
    client.force_login(factories.member("tess", env, "tester").user)
    factories.deployment("iris")
    for name, arguments in (("wizard_new", []), ("wizard_import", []), ("deployment_change", ["iris"])):
        assert client.get(reverse(f"web:{name}", args=arguments)).status_code == 403
    assert not Draft.objects.exists()


def test_a_role_lost_in_between_is_asked_for_at_the_approval(browser: Client, env: Environment) -> None:
    draft = complete(browser)
    page = browser.get(step_url(draft, "review"))
    env.memberships.update(role="viewer")
    data = {"go": "approve", "plan": page.context["planned"].digest}
    assert browser.post(step_url(draft, "review"), data).status_code in (403, 409)
    assert not Deployment.objects.exists()


def test_discarding_takes_a_post(browser: Client) -> None:
    draft = begun(browser)
    url = reverse("web:wizard_discard", args=[draft.pk])
    assert browser.get(url).status_code == 405
    browser.post(url)
    assert not Draft.objects.exists()


def test_a_file_written_is_the_draft_read_back(browser: Client) -> None:
    draft = complete(browser, ttl="other", ttl_amount="90", ttl_unit="minutes", policy="auto")
    text = browser.get(reverse("web:wizard_yaml", args=[draft.pk])).content.decode()
    assert yaml.safe_load(text)["cache"]["ttl_seconds"] == 5400
    browser.post(reverse("web:wizard_import"), {"text": text})
    again = Draft.objects.latest("pk")
    assert again.pk != draft.pk
    assert browser.get(reverse("web:wizard_yaml", args=[again.pk])).content.decode() == text


def test_a_file_without_a_model_asks_for_it(browser: Client) -> None:
    page = browser.post(reverse("web:wizard_import"), {"text": "name: iris\nenvironment: paper\n"})
    draft = Draft.objects.get()
    assert page.headers["Location"] == step_url(draft, "model")
    assert list(browser.get(step_url(draft, "model")).context["form"].errors) == ["artifact_file"]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("- a list", ""),
        ("a: [", ""),
        ("a: &a [1]\nb: *a", ""),
        ("name: [1]", "name"),
        ("name: iris\ncahce: {}", "cahce"),
        ("cache: {ttl_seconds: -1}", "cache.ttl_seconds"),
        ("", ""),
    ],
)
def test_a_faulty_file_is_told_where_and_kept(browser: Client, text: str, path: str) -> None:
    page = browser.post(reverse("web:wizard_import"), {"text": text})
    assert page.status_code == 422
    assert path in [found for found, _sentence in page.context["problems"]]
    assert not Draft.objects.exists()
    assert page.context["text"] == text


SPECS = st.fixed_dictionaries(
    {
        "model": st.fixed_dictionaries(
            {"artifact": st.just("0" * 64), "method": st.sampled_from(["predict", "predict_proba", "transform"])}
        ),
        "runtime": st.fixed_dictionaries(
            {
                "python": st.sampled_from(["3.10", "3.11", "3.12"]),
                "requirements": st.lists(st.sampled_from(["xgboost==2.1.3", "numpy>=2", "pandas[excel]"]), max_size=3),
            }
        ),
        "input": st.fixed_dictionaries(
            {"max_rows": st.integers(1, 1_000_000), "max_body_bytes": st.integers(1_024, 100 * 1024 * 1024)}
        ),
        "trigger": st.one_of(
            st.fixed_dictionaries(
                {
                    "kind": st.just("http"),
                    "route": st.sampled_from(["score", "v1/read"]),
                    "auth_level": st.sampled_from(["function", "anonymous"]),
                }
            ),
            st.just({"kind": "blob", "path_in": "a/{name}", "path_out": "b/{name}"}),
            st.just({"kind": "service_bus", "queue_in": "a", "queue_out": "b"}),
        ),
        "cache": st.one_of(
            st.fixed_dictionaries(
                {
                    "policy": st.sampled_from(["on", "off", "auto"]),
                    "ttl_seconds": st.integers(0, 366 * 24 * 3600),
                    "max_memory_mb": st.integers(8, 16 * 1024),
                    "store_input": st.sampled_from(["whole", "none"]),
                    "timeout_ms": st.integers(1, 5_000),
                    "local_mb": st.integers(0, 1_024),
                    "keys": st.sampled_from(["request", "row"]),
                    "keyed_digests": st.booleans(),
                }
            ),
            st.just({"store_input": "masked", "masked_fields": ["age", "post code"]}),
        ),
        "hosting": st.fixed_dictionaries(
            {
                "processes": st.integers(0, 32),
                "memory_mb": st.integers(256, 65_536),
                "predict_seconds": st.integers(1, 230),
            }
        ),
        "execution": st.sampled_from(["auto", "original", "onnx"]),
        "tags": st.dictionaries(st.sampled_from(["owner", "cost centre"]), st.sampled_from(["a", "b = c"]), max_size=2),
    }
)


@given(SPECS)
def test_every_spec_survives_the_forms_and_the_file(data: dict[str, Any]) -> None:
    spec = Spec.load(data)
    situation = Situation(factories.Actor(None), None, ())
    assert assess(situation, values_of(spec)).spec == spec
    assert yaml_file.read(yaml_file.write(name="a", environment="b", description="", spec=spec)).spec == spec


def test_the_plan_in_the_page_is_the_services_own(browser: Client, env: Environment) -> None:
    draft = complete(browser)
    page = browser.get(step_url(draft, "review"))
    found = page.context["planned"]
    actor = factories.member("dora", env, "deployer")
    spec = factories.spec()
    assert found.digest == plans.plan(actor=actor, environment=env, spec=spec, name="iris").digest


def titles(browser: Client, draft: Draft, verdict: str) -> list[str]:
    checks = browser.get(step_url(draft, "review")).context["checks"]
    return [check.title for check in checks.having(verdict)]


def test_a_package_that_nothing_brings_is_warned_of_until_it_is_listed(browser: Client) -> None:
    draft = begun(browser, b"\x80\x04\x8c\x0fxgboost.sklearn\x94")
    assert "xgboost may be missing" in titles(browser, draft, "warn")
    send(browser, draft, "model", requirements="XGBoost == 2.1.3")
    assert "xgboost may be missing" not in titles(browser, draft, "warn")


def test_a_console_without_a_worker_or_local_execution_says_so(settings: Any) -> None:
    settings.LOCAL_EXECUTION_ENABLED = False
    local = factories.environment("here", target="local")
    client = Client()
    client.force_login(factories.member("dora", local, "deployer").user)
    draft = begun(client)
    send(client, draft, "environment", environment="here")
    assert "Environment" in titles(client, draft, "fail")
    assert "No worker has answered lately" in titles(client, draft, "warn")


def test_a_model_whose_file_is_gone_fails(browser: Client) -> None:
    draft = begun(browser, b"\x80\x04a file that goes")
    Artifact.objects.get(pk=draft.data["steps"]["model"]["artifact"]).path.unlink()
    assert "The model’s file is gone" in titles(browser, draft, "fail")
