"""The audit trail: who did or was refused what, and when."""

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from console.web.filters import build_filter
from console.web.pages import page, paginate
from console.web.states import action_word
from deployments.models import AuditEntry
from deployments.services import access
from deployments.services.access import Actor


@page
@require_GET
def audit(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The entries of the environments that the actor may see, and all of the actor's own; newest first."""
    visible = AuditEntry.objects.all()
    if not actor.is_site_admin:
        names = access.environments(actor).values("name")
        visible = visible.filter(Q(environment__in=names) | Q(actor=actor.name))
    entries = visible
    query = request.GET
    if query.get("result") in ("done", "refused"):
        entries = entries.filter(result=query["result"])
    for parameter in ("action", "environment"):
        if value := query.get(parameter):
            entries = entries.filter(**{parameter: value})
    if text := query.get("q", "").strip():
        entries = entries.filter(
            Q(actor__icontains=text) | Q(subject__icontains=text) | Q(reason__icontains=text) | Q(via__icontains=text)
        )
    actions = visible.order_by("action").values_list("action", flat=True).distinct()
    context = {
        "crumbs": [(_("Audit trail"), "")],
        "filters": [
            build_filter(
                request,
                title=_("Result"),
                parameter="result",
                options=[("done", _("Done"), None), ("refused", _("Refused"), None)],
            ),
            build_filter(
                request,
                title=_("Action"),
                parameter="action",
                options=[(name, action_word(name), None) for name in actions],
            ),
            build_filter(
                request,
                title=_("Environment"),
                parameter="environment",
                options=[(env.name, env.name, None) for env in access.environments(actor)],
            ),
        ],
        **paginate(request, entries),
    }
    return render(request, "audit/list.html", context)
