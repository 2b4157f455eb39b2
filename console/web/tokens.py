"""API tokens: one's own, made with scopes and an end, shown once, revoked."""

from datetime import timedelta

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from console.web.pages import page, told
from deployments.models import ApiToken
from deployments.services.access import Actor
from deployments.services.tokens import DEFAULT_DAYS, create_token, revoke_token

SCOPES = [
    ("read", gettext_lazy("read: see deployments, runs, logs and statistics")),
    ("inputs", gettext_lazy("inputs: see what was sent, find and erase it")),
    ("test", gettext_lazy("test: send inputs to functions")),
    ("deploy", gettext_lazy("deploy: upload, define, run, cancel, destroy")),
    ("cache:write", gettext_lazy("cache:write: delete entries, raise the data epoch")),
    ("admin", gettext_lazy("admin: change environments")),
]
DAYS = [
    ("7", gettext_lazy("7 days")),
    ("30", gettext_lazy("30 days")),
    ("90", gettext_lazy("90 days")),
    ("365", gettext_lazy("a year")),
    ("0", gettext_lazy("never")),
]


class TokenForm(forms.Form):
    """What a new token is called, may do, and how long it lives."""

    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=80, help_text=gettext_lazy("Who or what will use it, for example ci.")
    )
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("Scopes"),
        choices=SCOPES,
        initial=["read"],
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("A token can never do more than your own roles allow."),
    )
    days = forms.ChoiceField(label=gettext_lazy("Ends after"), choices=DAYS, initial=str(DEFAULT_DAYS))


@page
@require_GET
def tokens(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The actor's tokens; administrators of the site see everybody's."""
    found = ApiToken.objects.select_related("user")
    if not actor.is_site_admin:
        found = found.filter(user=actor.user)
    now = timezone.now()
    rows = [(token, token.is_valid(now)) for token in found]
    return render(request, "tokens/list.html", {"crumbs": [(_("API tokens"), "")], "rows": rows})


@page
@never_cache
@require_http_methods(["GET", "POST"])
def token_new(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Make a token. Its text is in this answer only: it is not kept, so no redirect could show it."""
    form = TokenForm(request.POST or None)
    context = {"crumbs": [(_("API tokens"), reverse("web:tokens")), (_("New"), "")], "form": form}
    if request.method == "POST" and form.is_valid():
        days = int(form.cleaned_data["days"])
        with told(request):
            text = create_token(
                user=actor.user,
                name=form.cleaned_data["name"],
                scopes=form.cleaned_data["scopes"],
                expires_at=timezone.now() + timedelta(days=days) if days else None,
                actor=actor,
            )
            shown = {**context, "token": text, "base": request.build_absolute_uri("/api/v1/")}
            return render(request, "tokens/made.html", shown)
    return render(request, "tokens/new.html", context, status=422 if form.errors else 200)


@page
@require_POST
def token_revoke(request: HttpRequest, actor: Actor, token_id: int) -> HttpResponse:
    """End a token now."""
    with told(request):
        revoke_token(actor=actor, token_id=token_id)
    return redirect("web:tokens")
