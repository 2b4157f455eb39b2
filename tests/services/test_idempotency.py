"""A request under a key is done once, also when the process dies or two come at the same time."""

import threading

import pytest
from django.db import connection

from deployments.domain.errors import Conflict, SpecInvalid
from deployments.models import AuditEntry, Environment, IdempotentAnswer
from deployments.services.idempotency import Answer, KeyReused, once
from tests import factories


def creating(name: str) -> Answer:
    Environment.objects.create(name=name)
    return Answer(status=201, body={"name": name}, headers={"Location": f"/{name}"})


def ask(name: str = "a", *, key: str = "k", digest: str = "d") -> Answer:
    return once(
        actor=factories.administrator(),
        operation="POST /x",
        key=key,
        body_digest=digest,
        act=lambda: creating(name),
    )


@pytest.mark.django_db
def test_the_second_time_the_first_answer_comes() -> None:
    first, again = ask(), ask()
    assert (first.replayed, again.replayed) == (False, True)
    assert (again.status, again.body, again.headers) == (201, {"name": "a"}, {"Location": "/a"})
    with pytest.raises(KeyReused):
        ask(digest="other")
    assert ask("b", key="other").replayed is False


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_has_a_length(key: str) -> None:
    with pytest.raises(SpecInvalid):
        ask(key=key)


@pytest.mark.django_db
def test_a_refusal_is_told_to_the_audit_trail_and_keeps_no_answer() -> None:
    def refuse() -> Answer:
        AuditEntry.objects.create(actor="a", action="b", subject="c", result="refused")
        raise Conflict("taken")

    with pytest.raises(Conflict):
        once(actor=factories.administrator(), operation="POST /x", key="k", body_digest="d", act=refuse)
    assert AuditEntry.objects.filter(result="refused").exists()
    assert not IdempotentAnswer.objects.exists()
    assert ask().replayed is False


@pytest.mark.django_db(transaction=True)
def test_a_process_that_dies_half_way_leaves_nothing() -> None:
    class Killed(BaseException):
        """Stands for the end of the process: nothing of ours catches it."""

    def die() -> Answer:
        creating("half")
        raise Killed

    with pytest.raises(Killed):
        once(actor=factories.administrator(), operation="POST /x", key="k", body_digest="d", act=die)
    assert not Environment.objects.exists()
    assert ask().replayed is False


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_acts() -> None:
    factories.administrator()
    answers: list[Answer] = []

    def knock() -> None:
        try:
            answers.append(ask())
        finally:
            connection.close()

    threads = [threading.Thread(target=knock) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.replayed for answer in answers) == [False, True, True, True, True, True]
    assert Environment.objects.count() == 1
