"""The cache inspector: what the function counted, the whole server apart, entries page by page, and deletion."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from console.web import traffic
from console.web.cache_chart import chart, live_tag, told_version, versions_of
from console.web.cache_entries import Listed, Opened, opened, sorted_rows
from console.web.invoke_shape import Shape, plain_shape
from console.web.pages import page, told
from deployments.domain.errors import Conflict, ConsoleError, NotAllowed, NotFound, Unavailable
from deployments.models import Deployment, Invocation
from deployments.services import access, caches, invocations
from deployments.services.access import Actor, Verb

SPANS = ((60, "1h"), (1440, "24h"), (10_080, "7d"), (43_200, "30d"))
DAY = 1440
PER_PAGE = 20
MOST_LISTED = 20


@page
@require_GET
def cache(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Figures, versions, the server, and one page of entries with one of them opened."""
    found = access.deployment(actor, name)
    minutes = next((span for span, label in SPANS if label == request.GET.get("span")), DAY)
    try:
        context = {**_figures(actor, found, minutes), **_entries(request, actor, found)}
    except (Conflict, Unavailable) as error:
        context = {"error": error.detail, "away": isinstance(error, Unavailable)}
    return render(request, "cache/inspector.html", {**frame(actor, found, _("Cache")), **context, "minutes": minutes})


@page
@require_POST
def cache_compare(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Score the input of a stored answer afresh, without touching the cache, and show both."""
    found = access.deployment(actor, name, Verb.TEST)
    access.require(actor, Verb.VIEW_INPUTS, found.environment, subject=name)
    key = request.POST.get("key", "")
    back = {"key": key}
    with told(request):
        entry = caches.entry(actor=actor, deployment=found, key=key)
        if not (entry.has_input and _keeps_whole(found)):
            raise Conflict(
                _("The input of this answer was not kept whole."),
                action=_("Send the input from the test form instead."),
            )
        row, answer = invocations.invoke(
            actor=actor,
            deployment=found,
            body=shape(found).wrap(entry.input),
            cache="no-store",
            label=_("Compared with the cache"),
        )
        if row.pk is None:
            say_compared(request, stored=entry.output, fresh=answer.body)
        else:
            back["fresh"] = str(row.pk)
    return redirect(f"{reverse('web:cache', args=[name])}?{urlencode(back)}#entry")


@page
@require_POST
def cache_delete(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Count what would be deleted and ask; with the confirmation, delete it."""
    found = access.deployment(actor, name, Verb.WRITE_CACHE)
    keys, match = request.POST.getlist("key"), request.POST.get("match", "").strip()
    version, confirmed = request.POST.get("version", ""), request.POST.get("confirm") == "yes"
    deletion = None
    with told(request):
        deletion = caches.delete_entries(
            actor=actor,
            deployment=found,
            keys=keys or None,
            match=None if keys else match,
            version=version,
            dry_run=not confirmed,
        )
    if deletion is None:
        return redirect("web:cache", name)
    if not confirmed:
        context = {
            "keys": keys,
            "shown": keys[:MOST_LISTED],
            "match": match,
            "version": version,
            "deletion": deletion,
            "live": version == live_tag(found),
        }
        return render(request, "cache/delete.html", {**frame(actor, found, _("Delete entries")), **context})
    text = ngettext("%(n)d entry deleted.", "%(n)d entries deleted.", deletion.count) % {"n": deletion.count}
    if deletion.complete:
        messages.success(request, text)
    else:
        messages.warning(request, f"{text} " + _("The time ran out before the end: delete again to go on."))
    return redirect("web:cache", name)


@page
@require_http_methods(["GET", "POST"])
def cache_epoch(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Raise the data epoch, with a reason: every stored answer becomes old."""
    found = access.deployment(actor, name, Verb.WRITE_CACHE)
    context: dict[str, Any] = {"reason": request.POST.get("reason", "")}
    if request.method == "POST":
        try:
            epoch = caches.raise_epoch(actor=actor, deployment=found, reason=context["reason"])
        except (NotAllowed, NotFound):
            raise
        except ConsoleError as error:
            context["error"] = error
        else:
            messages.success(
                request, _("The data epoch is %(n)d: answers are scored and stored anew from now on.") % {"n": epoch}
            )
            return redirect("web:cache", name)
    status = 422 if context.get("error") else 200
    return render(
        request, "cache/epoch.html", {**frame(actor, found, _("Raise the data epoch")), **context}, status=status
    )


def say_compared(request: HttpRequest, *, stored: Any, fresh: Any) -> None:
    """Tell how a stored answer compares with a fresh one where calls are not kept, so that no page can show both."""
    if fresh == stored:
        messages.success(request, _("Scored now, the answer equals the stored one."))
    else:
        messages.warning(request, _("Scored now, the answer differs from the stored one."))


def frame(actor: Actor, found: Deployment, title: str) -> dict[str, Any]:
    """What every page of one cache shows around its matter."""
    crumbs = [
        (_("Deployments"), reverse("web:deployments")),
        (found.name, reverse("web:deployment", args=[found.name])),
    ]
    if title != _("Cache"):
        crumbs.append((_("Cache"), reverse("web:cache", args=[found.name])))
    may = {
        f"may_{what}": access.may(actor, verb, found.environment)
        for what, verb in (
            ("write", Verb.WRITE_CACHE),
            ("test", Verb.TEST),
            ("inputs", Verb.VIEW_INPUTS),
            ("deploy", Verb.DEPLOY),
        )
    }
    return {"crumbs": [*crumbs, (title, "")], "title": title, "deployment": found, "spans": SPANS, **may}


def _figures(actor: Actor, found: Deployment, minutes: int) -> dict[str, Any]:
    statistics = caches.statistics(actor=actor, deployment=found, minutes=minutes)
    known, live = versions_of(found), live_tag(found)
    versions = [told_version(seen.version, known=known, live=live, statistics=seen) for seen in statistics.versions]
    server = statistics.server
    limit, used = server.max_memory_bytes, server.used_memory_bytes
    return {
        "stats": traffic.told(statistics),
        "chart": chart(statistics, versions),
        "statistics": statistics,
        "versions": versions,
        "server": server,
        "times": [
            (_("Hit"), _("whole answers from the cache"), statistics.hit),
            (_("Miss"), _("whole answers by the model"), statistics.miss),
            (_("Model"), _("one prediction"), statistics.predict),
            (_("Redis"), _("one look into the server"), statistics.redis),
        ],
        "memory_share": f"{min(used / limit, 1) * 100:.1f}%" if limit and used is not None else "",
    }


def _entries(request: HttpRequest, actor: Actor, found: Deployment) -> dict[str, Any]:
    match, version = request.GET.get("match", "").strip(), request.GET.get("version", "")
    cursor = request.GET.get("cursor", "")
    try:
        listed = caches.entries(
            actor=actor, deployment=found, cursor=cursor, match=match, version=version, limit=PER_PAGE
        )
    except ConsoleError as error:
        if error.field != "cursor":
            raise
        # An address that was kept too long, or written by hand: from the beginning.
        cursor = ""
        listed = caches.entries(actor=actor, deployment=found, match=match, version=version, limit=PER_PAGE)
    known, live = versions_of(found), live_tag(found)
    ttl = (found.live_revision or found.latest_revision()).spec.cache.ttl_seconds
    rows = [Listed(row, told_version(row.model_version, known=known, live=live), ttl) for row in listed.entries]
    tags = {*known, live, version} - {""}
    chosen = request.GET.get("key", "") or (match if len(rows) == 1 and rows[0].row.key == match else "")
    opened_entry = _opened_or_none(actor, found, chosen) if chosen else None
    return {
        "rows": sorted_rows(rows, request.GET.get("order", "")),
        "listed": listed,
        "scanned_share": f"{min(listed.scanned / listed.total, 1) * 100:.1f}%" if listed.total else "100%",
        "match": match,
        "version": version,
        "cursor": cursor,
        "choices": [told_version(tag, known=known, live=live) for tag in sorted(tags)],
        "chosen": chosen,
        "entry": opened_entry,
        "whole": _keeps_whole(found),
        "fresh": _fresh(request, actor, found, opened_entry),
    }


def _opened_or_none(actor: Actor, found: Deployment, key: str) -> Opened | None:
    try:
        entry = caches.entry(actor=actor, deployment=found, key=key)
    except NotFound:
        return None
    known, live = versions_of(found), live_tag(found)
    return opened(entry, told_version(entry.model_version, known=known, live=live))


def _fresh(request: HttpRequest, actor: Actor, found: Deployment, entry: Opened | None) -> Invocation | None:
    """The call that scored the opened entry's input again; only one of the same digest is of the same input."""
    number = request.GET.get("fresh", "")
    is_number = number.isdecimal() and len(number) < 19
    if entry is None or not is_number or not access.may(actor, Verb.VIEW_INPUTS, found.environment):
        return None
    made = invocations.history(actor=actor, deployment=found, everyone=True).filter(pk=int(number)).first()
    same = made is not None and made.key.rpartition(":")[2] == entry.row.digest
    return made if same else None


def _keeps_whole(found: Deployment) -> bool:
    """Whether inputs are kept as they were sent, so that they can be sent again."""
    return (found.live_revision or found.latest_revision()).spec.cache.store_input == "whole"


def shape(found: Deployment) -> Shape:
    return plain_shape((found.live_revision or found.latest_revision()).spec)
