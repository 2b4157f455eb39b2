"""What is kept of the inputs of one deployment: in its cache, as test calls and samples, and who may see it."""

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Min
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from console.web.cache import frame
from console.web.formats import duration
from console.web.pages import page
from deployments.domain.limits import MAX_KEEP_DAYS
from deployments.domain.spec import CachePart
from deployments.models import Deployment
from deployments.services import access
from deployments.services.access import Actor, Verb
from deployments.services.retention import keep_invocations

STORED: dict[str, str | Promise] = {
    "whole": gettext_lazy("whole, as it was sent"),
    "masked": gettext_lazy("with some fields masked"),
    "none": gettext_lazy("left out"),
}


class RetentionForm(forms.Form):
    """How many days test calls are kept."""

    days = forms.IntegerField(
        label=gettext_lazy("Days"),
        min_value=0,
        max_value=MAX_KEEP_DAYS,
        help_text=gettext_lazy(
            "0 keeps none, pinned ones neither: an answer is shown once. What is older goes at once."
        ),
    )


@page
@require_http_methods(["GET", "POST"])
def kept(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Show it, and change how long test calls are kept."""
    found = access.deployment(actor, name)
    form = RetentionForm(request.POST or None, initial={"days": found.keep_invocations_days})
    if request.method == "POST":
        access.require(actor, Verb.DEPLOY, found.environment, subject=name)
        if form.is_valid():
            gone = keep_invocations(actor=actor, deployment=found, days=form.cleaned_data["days"])
            messages.success(request, _said(found.keep_invocations_days, gone))
            return redirect("web:kept", name)
    context = {**frame(actor, found, _("What is kept")), "form": form, **_facts(found)}
    return render(request, "cache/kept.html", context, status=422 if form.errors else 200)


def stored_words(cache: CachePart) -> str:
    """What a Spec keeps of an input in the cache, in words."""
    if cache.store_input == "masked":
        return _("with these fields masked: %(fields)s") % {"fields": ", ".join(cache.masked_fields)}
    return str(STORED[cache.store_input])


def digest_words(cache: CachePart) -> str:
    """How a Spec makes its keys, in words."""
    return _("keyed digest, made with a secret") if cache.keyed_digests else _("digest of the input")


def _facts(found: Deployment) -> dict[str, Any]:
    cache = (found.live_revision or found.latest_revision()).spec.cache
    calls = found.invocations.all().kept(timezone.now())
    return {
        "cache": cache,
        "stored": stored_words(cache),
        "digests": digest_words(cache),
        "lifetime": duration(cache.ttl_seconds) if cache.ttl_seconds else _("no end"),
        "calls": calls.count(),
        "pinned": calls.filter(pinned=True).count(),
        "oldest": calls.aggregate(oldest=Min("at"))["oldest"],
        "samples": found.samples.count(),
        "members": found.environment.memberships.select_related("user"),
    }


def _said(days: int, gone: int) -> str:
    kept_for = (
        ngettext("Test calls are kept %(n)d day.", "Test calls are kept %(n)d days.", days) % {"n": days}
        if days
        else _("Test calls are not kept any more.")
    )
    deleted = ngettext("%(n)d was deleted.", "%(n)d were deleted.", gone) % {"n": gone} if gone else ""
    return f"{kept_for} {deleted}".strip()
