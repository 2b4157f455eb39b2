"""The left navigation: what it holds, who sees which entry and which one is current."""

from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from deployments.services import access
from deployments.services.access import Actor


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: its page, the names of the pages it stands for, and the page behind its "+"."""

    label: str | Promise
    icon: str
    page: str
    covers: frozenset[str] = frozenset()
    add: str = ""
    add_label: str | Promise = ""
    add_superuser: bool = False
    staff: bool = False
    counts: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Entries under one heading; the first group has none."""

    heading: str | Promise
    entries: tuple[Entry, ...] = field(default=())


GROUPS: tuple[Group, ...] = (
    Group("", (Entry(_("Home"), "home", "web:home"),)),
    Group(
        _("Deployments"),
        (
            Entry(
                _("Deployments"),
                "deploy",
                "web:deployments",
                covers=frozenset(
                    {
                        "deployment",
                        "deployment_destroy",
                        "deployment_change",
                        "revisions_diff",
                        "wizard_new",
                        "wizard_import",
                        "wizard_step",
                    }
                ),
                add="web:wizard_new",
                add_label=_("Deploy a model"),
                counts=True,
            ),
            Entry(_("Runs"), "run", "web:runs", covers=frozenset({"run"})),
            Entry(_("Test"), "test", "web:pick_test", covers=frozenset({"test"})),
        ),
    ),
    Group(
        _("Cache"),
        (
            Entry(
                _("Cache inspector"),
                "cache",
                "web:pick_cache",
                covers=frozenset({"cache", "cache_find", "cache_erase", "cache_delete", "cache_epoch", "kept"}),
            ),
        ),
    ),
    Group(
        _("Administration"),
        (
            Entry(
                _("Environments"),
                "env",
                "web:environments",
                covers=frozenset({"environment", "environment_new", "environment_edit"}),
                add="web:environment_new",
                add_label=_("Add an environment"),
                add_superuser=True,
            ),
            Entry(_("Audit trail"), "audit", "web:audit"),
            Entry(
                _("API tokens"),
                "token",
                "web:tokens",
                covers=frozenset({"token_new", "token_revoke"}),
                add="web:token_new",
                add_label=_("Make an API token"),
            ),
            Entry(_("Records"), "list", "admin:index", staff=True),
        ),
    ),
)


def for_request(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups as the template draws them for the request's user; none for a stranger."""
    user = request.user
    if isinstance(user, AnonymousUser):
        return []
    match = request.resolver_match
    here = f"{match.namespace}:{match.url_name}" if match else ""
    deployments = access.deployments(Actor(user)).count()
    return [
        {
            "heading": group.heading,
            "entries": [
                {
                    "label": entry.label,
                    "icon": entry.icon,
                    "url": reverse(entry.page),
                    "current": _is_current(entry, here),
                    "count": deployments if entry.counts and deployments else None,
                    "add_url": reverse(entry.add)
                    if entry.add and (user.is_superuser or not entry.add_superuser)
                    else "",
                    "add_label": entry.add_label,
                }
                for entry in group.entries
                if user.is_staff or not entry.staff
            ],
        }
        for group in GROUPS
    ]


def _is_current(entry: Entry, here: str) -> bool:
    namespace, _sep, name = here.partition(":")
    if entry.page.startswith("admin:"):
        return namespace == "admin"
    return entry.page == here or (namespace == "web" and name in entry.covers)
