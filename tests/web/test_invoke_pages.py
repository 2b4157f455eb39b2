"""The test form on a real function: what is sent, what is shown, and what is kept."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.files.uploadedfile import SimpleUploadedFile
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.utils import timezone

from console.web.invoke_form import form, plain
from console.web.invoke_input import BadInput, read_file, read_form
from console.web.invoke_shape import Field, Shape, shape_of
from console.web.snippets import snippets
from deployments.domain.environments import Role
from deployments.domain.spec import Spec
from deployments.models import AuditEntry, Deployment, Invocation, Sample
from deployments.services.invocations import invoke
from deployments.tasks import forget_calls
from tests import factories, live

PAGE = "/deployments/digits/test/"


@pytest.fixture
def client(digits: Deployment) -> Client:
    found = Client()
    found.force_login(factories.administrator().user)
    return found


def send(client: Client, rows: Any, **more: Any) -> str:
    """Send rows from the JSON tab and return the page that follows."""
    wish = {"tab": "json", "json": json.dumps(rows), "send": "once", "method": "POST", "cache": "default", **more}
    response = client.post(PAGE, wish, follow=True)
    assert response.status_code == 200, response.content.decode()
    return response.content.decode()


def verdicts(text: str) -> list[str]:
    result = text[text.index('id="result"') : text.index('id="snippets"')]
    return re.findall(r'class="verdict[^"]*">([A-Z]+)<', result)


def test_the_form_begins_with_the_models_own_example(client: Client, function: live.Function) -> None:
    text = client.get(PAGE).content.decode()
    assert "Drawing pad, 8 by 8 cells" in text
    assert len(re.findall(r'name="f\d+"', text)) == 64
    assert "[[ 0, 0, 5,13, 9, 1, 0, 0," in text
    assert "$FUNCTION_KEY" in text


def test_twice_is_a_miss_then_a_hit_and_again_a_hit_then_a_miss(client: Client, function: live.Function) -> None:
    first = send(client, [function.rows[1]], send="twice")
    assert verdicts(first) == ["MISS", "HIT"]
    assert "Answers equal" in first
    assert re.search(r"ms saved, \d", first) or "Nothing saved" in first
    assert "?key=digits%3A" in first
    again = send(client, [function.rows[1]], send="twice")
    assert verdicts(again) == ["HIT", "MISS"]
    assert "scored afresh" in again


def test_the_cache_is_used_as_chosen(client: Client, function: live.Function) -> None:
    rows = [function.rows[2]]
    assert verdicts(send(client, rows, cache="no-store", send="twice")) == ["BYPASS", "BYPASS"]
    assert verdicts(send(client, rows, cache="no-cache", send="twice")) == ["MISS", "HIT"]


def test_a_result_can_be_reloaded_and_its_input_is_in_the_form(client: Client, function: live.Function) -> None:
    send(client, [function.rows[3]])
    call = Invocation.objects.latest("pk")
    text = client.get(PAGE, {"result": call.pk}).content.decode()
    assert verdicts(text) == ["MISS"]
    assert f"[[{','.join(str(int(cell)).rjust(2) for cell in function.rows[3][:8])}," in text
    assert Invocation.objects.count() == 1


def test_fields_without_script_make_the_first_row(client: Client, function: live.Function) -> None:
    fields = {f"f{index}": str(int(cell)) for index, cell in enumerate(function.rows[5])}
    text = send(client, [], tab="fields", **fields)
    assert verdicts(text) == ["MISS"]
    assert Invocation.objects.latest("pk").request["body"]["data"] == [[int(cell) for cell in function.rows[5]]]


def test_a_wrong_field_is_said_at_the_field(client: Client) -> None:
    response = client.post(PAGE, {"tab": "fields", "json": "[]", "f7": "seven", "send": "once"})
    assert response.status_code == 422
    assert re.search(r'id="f7"[^>]*value="seven"[^>]*aria-invalid="true"', response.content.decode())
    assert "“seven” is not a number." in response.content.decode()


@pytest.mark.parametrize("text", ["", "[[1,2", "[NaN]", "[" * 5_000, "{'a': 1}"])
def test_bad_json_is_said_at_the_json_and_kept(client: Client, text: str) -> None:
    response = client.post(PAGE, {"tab": "json", "json": text, "send": "once"})
    assert response.status_code == 422
    assert 'id="json-error"' in response.content.decode()
    assert Invocation.objects.count() == 0


def test_what_the_function_refuses_is_its_own_words(client: Client) -> None:
    text = send(client, [[1, 2]])
    assert "this model takes 64" in text
    assert Invocation.objects.latest("pk").status == 400


@pytest.mark.parametrize(
    ("wish", "where"),
    [
        ({"headers": "Host: evil"}, "headers"),
        ({"headers": "no colon"}, "headers"),
        ({"query": "code=1"}, "query"),
        ({"query": "lonely"}, "query"),
        ({"send": "sample", "sample_name": " "}, "sample"),
        ({"send": "sample", "sample_name": "a\0b"}, "sample"),
        ({"method": "DELETE"}, "method"),
    ],
)
def test_what_may_not_be_sent_is_said_where_it_was_written(client: Client, wish: dict[str, str], where: str) -> None:
    response = client.post(PAGE, {"tab": "json", "json": "[[1]]", "send": "once", "method": "POST", **wish})
    assert response.status_code == 422
    assert f'id="{where}-error"' in response.content.decode() or where == "method"


def test_rows_of_a_file_are_sent(client: Client, function: live.Function) -> None:
    lines = "\n".join(",".join(str(cell) for cell in row) for row in function.rows[:3])
    upload = SimpleUploadedFile("rows.csv", lines.encode())
    response = client.post(PAGE, {"tab": "file", "file": upload, "send": "once", "json": ""}, follow=True)
    assert "3 rows" in response.content.decode()
    assert Invocation.objects.latest("pk").label == "rows.csv"


def test_a_sample_is_kept_taken_and_forgotten(client: Client, function: live.Function) -> None:
    text = send(client, [function.rows[4]], send="sample", sample_name="a four <b>")
    assert "a four &lt;b&gt;" in text
    assert "a four <b>" not in text
    sample = Sample.objects.get()
    text = send(client, [function.rows[4]], sample=str(sample.pk))
    assert Invocation.objects.latest("pk").label == sample.name
    doubled = {"tab": "json", "json": "[[1]]", "send": "sample", "sample_name": sample.name}
    assert client.post(PAGE, doubled).status_code == 422
    client.post(f"/deployments/digits/samples/{sample.pk}/delete/")
    assert not Sample.objects.exists()


def test_history_is_ones_own_unless_the_teams_is_asked_for(
    client: Client, digits: Deployment, function: live.Function
) -> None:
    invoke(
        actor=factories.member("tom", digits.environment, Role.TESTER), deployment=digits,
        body={"data": [function.rows[0]]}, label="of tom",
    )  # fmt: skip
    assert "of tom" not in client.get(PAGE).content.decode()
    assert "of tom" in client.get(PAGE, {"team": "1"}).content.decode()


def test_a_call_is_sent_again_as_it_was(client: Client, function: live.Function) -> None:
    send(client, [function.rows[6]], cache="no-store", headers="X-Trace: 7")
    made = Invocation.objects.get()
    response = client.post(f"{PAGE}{made.pk}/again/", follow=True)
    assert verdicts(response.content.decode()) == ["BYPASS"]
    assert Invocation.objects.latest("pk").request == made.request


def test_old_calls_go_and_pinned_ones_stay(client: Client, function: live.Function) -> None:
    send(client, [function.rows[0]])
    send(client, [function.rows[1]])
    kept, gone = Invocation.objects.order_by("pk")
    client.post(f"{PAGE}{kept.pk}/pin/", {"pinned": "yes"})
    Invocation.objects.update(at=timezone.now() - timedelta(days=31))
    assert "MISS" in client.get(PAGE, {"result": kept.pk}).content.decode()
    assert not verdicts(client.get(PAGE, {"result": gone.pk}).content.decode())
    forget_calls()
    assert list(Invocation.objects.values_list("pk", flat=True)) == [kept.pk]


def test_where_calls_are_not_kept_the_result_is_shown_once(
    client: Client, digits: Deployment, function: live.Function
) -> None:
    Deployment.objects.filter(pk=digits.pk).update(keep_invocations_days=0)
    shown = client.post(PAGE, {"tab": "json", "json": json.dumps([function.rows[0]]), "send": "twice"})
    assert shown.status_code == 200
    assert verdicts(shown.content.decode()) == ["MISS", "HIT"]
    assert not Invocation.objects.exists()


def test_a_tester_from_whom_inputs_are_withheld_tests_without_those_of_others(
    client: Client, digits: Deployment, function: live.Function
) -> None:
    send(client, [function.rows[0]])
    foreign = Invocation.objects.get()
    sample = Sample.objects.create(deployment=digits, name="secret one", body={"data": [function.rows[0]]})
    tester = Client()
    tester.force_login(factories.member("tom", digits.environment, Role.TESTER).user)
    digits.environment.memberships.update(inputs="withheld")
    for query in ({}, {"team": "1"}, {"sample": sample.pk}, {"again": foreign.pk}, {"result": foreign.pk}):
        page = tester.get(PAGE, query)
        assert page.status_code == 200
        assert page.context["json_text"] == ""
        assert "secret one" not in page.content.decode()
        assert not page.context["history"]
        assert page.context["result"] is None
    assert tester.post(f"{PAGE}{foreign.pk}/again/").status_code == 403
    mine = send(tester, [function.rows[1]])
    assert verdicts(mine) == ["MISS"]


def test_an_entry_of_the_cache_is_taken_into_the_form(client: Client, function: live.Function) -> None:
    send(client, [function.rows[8]])
    key = Invocation.objects.get().key
    text = client.get(PAGE, {"entry": key}).content.decode()
    assert f"[[{','.join(str(int(cell)).rjust(2) for cell in function.rows[8][:8])}," in text
    assert client.get(PAGE, {"entry": "other:key"}).status_code == 200


@pytest.mark.parametrize(
    "query", ["?result=x", "?result=" + "9" * 40, "?sample=1", "?again=99", "?tab=what", "?snippet=x"]
)
def test_an_address_written_by_hand_is_taken_as_far_as_it_goes(client: Client, query: str) -> None:
    assert client.get(PAGE + query).status_code == 200


def test_a_function_that_is_away_is_told_with_its_cure(client: Client, digits: Deployment) -> None:
    digits.resources.filter(key="function").update(outputs={"url": "http://127.0.0.1:1/api/score"})
    text = client.get(PAGE).content.decode()
    assert "The function cannot be reached." in text
    assert "Restart the deployment" in text
    assert client.post(PAGE, {"tab": "json", "json": "[[1]]", "send": "once", "method": "POST"}).status_code == 200


def test_what_is_not_live_cannot_be_tested_and_says_why(client: Client, digits: Deployment) -> None:
    Deployment.objects.filter(pk=digits.pk).update(live_revision=None)
    assert "digits is not live." in client.get(PAGE).content.decode()


def test_who_may_not_test_is_refused_and_that_is_written_down(digits: Deployment) -> None:
    viewer = Client()
    viewer.force_login(factories.member("vera", digits.environment, Role.VIEWER).user)
    assert viewer.get(PAGE).status_code == 403
    assert viewer.post(PAGE, {"json": "[[1]]"}).status_code == 403
    assert AuditEntry.objects.filter(actor="vera", result="refused").exists()


TABLE = Shape(
    parameter="data",
    methods=("POST",),
    fields=(
        Field("age", "number", True), Field("city", "string", False),
        Field("paid", "boolean", False), Field("n", "integer", False),
    ),
)  # fmt: skip


def csv(text: str, name: str = "rows.csv") -> Any:
    return read_file(SimpleUploadedFile(name, text.encode()), TABLE)


def test_a_csv_of_a_table_is_typed_by_its_columns() -> None:
    assert csv('city,age,n,paid\n"Rio, RJ",41.5,2,true\nPorto,,3,0\n') == [
        {"city": "Rio, RJ", "age": 41.5, "n": 2, "paid": True},
        {"city": "Porto", "age": None, "n": 3, "paid": False},
    ]
    assert csv('{"data": [[1]]}', "a.json") == [[1]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no rows"),
        ("age\n1,2\n", "Line 2"),
        ("age,n\n1,two\n", "“two” is not a number"),
        ("paid\nmaybe\n", "true or false"),
        ("n\n1.5\n", "whole number"),
        ("n\n1e400\n", "not a number"),
        ("[1", "Not JSON"),
    ],
)
def test_a_bad_file_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as told:
        csv(text)
    assert told.value.where == "file"


def test_a_table_is_filled_in_by_name() -> None:
    fields = {"f0": "", "f1": "Rio", "f2": "yes", "f3": "2"}
    filled = read_form({"tab": "fields", "json": '[{"age": 1}, {"age": 2}]', **fields}, None, TABLE)
    assert filled.body == {"data": [{"age": None, "city": "Rio", "paid": True, "n": 2}, {"age": 2}]}


def described(row: dict[str, Any]) -> Shape:
    """The shape of a function whose document tells this of a row."""
    rows = {"type": "array", "items": row}
    body = {"content": {"application/json": {"schema": {"properties": {"data": rows}}}}}
    return shape_of(
        {"paths": {"/api/score": {"post": {"requestBody": body}}}}, Spec.load({"model": {"artifact": "0" * 64}})
    )


def test_categories_become_a_list_to_choose_from() -> None:
    columns = {
        "city": {"type": ["string", "null"], "enum": ["Rio", "Porto", None]},
        "size": {"type": "number", "enum": [1.0, 2.5]},
        "age": {"type": "number"},
    }
    shape = described({"anyOf": [{"type": "object", "required": list(columns), "properties": columns}]})
    city, size, age = shape.fields
    assert city.options == [("", "missing"), ("Rio", "Rio"), ("Porto", "Porto")]
    assert size.options == [("1", "1"), ("2.5", "2.5")]
    assert age.options == []
    filled = read_form({"tab": "fields", "f0": "", "f1": "1", "f2": "3"}, None, shape)
    assert filled.body == {"data": [{"city": None, "size": 1, "age": 3}]}
    assert read_file(SimpleUploadedFile("a.csv", b"city,size,age\nRio,1.0,2"), shape) == [
        {"city": "Rio", "size": 1.0, "age": 2}
    ]
    with pytest.raises(BadInput, match="not among the values") as told:
        read_form({"tab": "fields", "f0": "Lisbon", "f1": "1", "f2": "3"}, None, shape)
    assert told.value.where == "f0"


def test_a_text_is_written_as_it_is() -> None:
    shape = described({"type": "string"})
    assert shape.texts
    filled = read_form({"tab": "fields", "f0": "Two\nlines ", "json": '["x", "more"]'}, None, shape)
    assert filled.body == {"data": ["Two\nlines ", "more"]}


@pytest.mark.parametrize(
    ("row", "marks"),
    [
        (
            {
                "anyOf": [
                    {
                        "required": ["city", "age"],
                        "properties": {
                            "city": {"type": "string", "enum": ["Rio"]},
                            "age": {"type": ["number", "null"]},
                        },
                    }
                ]
            },
            ['<option value="Rio"', "one of a list", "may be missing", 'data-kind="number" data-nullable'],
        ),
        ({"type": "string"}, ["<textarea", "data-texts", "The first text"]),
        ({"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "number"}}, ["cells gap-m numbered"]),
    ],
)
def test_the_form_is_drawn_by_the_description(row: dict[str, Any], marks: list[str]) -> None:
    shape = described(row)
    start = form(shape, plain(shape, {"data": [["Rio"], "hello"][shape.texts :]}, label=""), tab="fields")
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    text = render_to_string("invoke/request.html", {**start, "deployment": Deployment(name="digits")}, request)
    assert [mark for mark in marks if mark not in text] == []


@pytest.mark.parametrize(
    ("given", "where", "said"),
    [
        ({"tab": "json", "json": "[[1e999]]"}, "json", "1e999 is too large a number"),
        ({"tab": "json", "json": r'[["\u0000"]]'}, "json", "cannot be kept"),
        ({"tab": "json", "json": r'[{"\ud83d": 1}]'}, "json", "cannot be kept"),
        ({"tab": "fields", "f1": "R\0o", "f2": "yes", "f3": "2"}, "json", "cannot be kept"),
        ({"tab": "json", "json": "[[1]]", "query": "a=\0"}, "query", "cannot be kept"),
    ],
)
def test_what_no_database_keeps_is_not_sent(given: dict[str, str], where: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as told:
        read_form(given, None, TABLE)
    assert told.value.where == where


def test_a_whole_request_in_the_json_is_sent_as_it_is() -> None:
    filled = read_form({"tab": "json", "json": '{"data": [[1]], "more": 2}'}, None, TABLE)
    assert filled.body == {"data": [[1]], "more": 2}


@pytest.mark.parametrize(
    "document", [{}, {"paths": []}, {"paths": {"/api/score": {"post": 7}}}, {"paths": {"/api/score": None}}]
)
def test_a_description_that_is_not_one_leaves_a_plain_form(document: dict[str, Any], db: None) -> None:
    shape = shape_of(document, factories.spec())
    assert (shape.parameter, shape.fields, shape.example) == ("data", (), None)


def test_snippets_are_safe_to_paste() -> None:
    body = {"data": ["it's $(rm -rf /) `x`", None, True]}
    told = snippets("http://h/api/score", body, method="POST", query={}, headers={"X-A": "'"})
    by_name = {snippet.id: snippet.text for snippet in told}
    assert """-d '{"data":["it'\\''s $(rm -rf /) `x`",null,true]}'""" in by_name["curl"]
    assert "None, True" in by_name["python"]
    compile(by_name["python"], "snippet", "exec")
    assert all("FUNCTION_KEY" in text for text in by_name.values())
