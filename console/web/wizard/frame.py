"""What every page of the wizard shows around its step: the heading and the rail with each step's state."""

from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from console.web.wizard.steps import ORDER, REVIEW, STEPS, Assessment, error_words
from deployments.models import Draft


@dataclass(frozen=True, slots=True)
class Rung:
    """One step in the rail: `css` is done, err or empty."""

    number: int
    title: str | Promise
    url: str
    css: str
    words: str
    current: bool


def frame(draft: Draft | None, found: Assessment, here: str, *, fails: int | None = None) -> dict[str, Any]:
    """The context that `wizard/base.html` needs; `fails` counts the failing checks, None before they are made."""
    deployment = found.situation.deployment
    crumbs = [(_("Deployments"), reverse("web:deployments"))]
    if deployment:
        crumbs += [(deployment.name, reverse("web:deployment", args=[deployment.name])), (_("Change"), "")]
    else:
        crumbs += [(_("Deploy a model"), "")]
    return {
        "draft": draft,
        "deployment": deployment,
        "environment": found.environment,
        "crumbs": crumbs,
        "rail": [_rung(draft, found, key, here=here, fails=fails) for key in ORDER],
        "here": here,
        "step_title": STEPS[here].title if here in STEPS else _("Review"),
        "next_title": STEPS[following].title if (following := after(here)) in STEPS else _("Review"),
        "is_first": here == ORDER[0],
    }


def after(key: str) -> str:
    """The step that follows."""
    return ORDER[min(ORDER.index(key) + 1, len(ORDER) - 1)]


def before(key: str) -> str:
    """The step before it; the first one for the first one."""
    return ORDER[max(ORDER.index(key) - 1, 0)]


def _rung(draft: Draft | None, found: Assessment, key: str, *, here: str, fails: int | None) -> Rung:
    url = reverse("web:wizard_step", args=[draft.pk, key]) if draft else ""
    if key == REVIEW:
        css, words = ("err" if fails else ""), _fails(fails)
        return Rung(len(ORDER), _("Review"), url, css, words, here == key)
    errors = found.forms[key].error_count
    # A step that nobody has filled in yet has no errors, unless all of it is being checked.
    told = key in found.filled or fails is not None
    css, words = "", found.summary(key)
    if told and errors:
        css, words = "err", error_words(errors)
    elif key in found.filled:
        css = "done"
    return Rung(ORDER.index(key) + 1, STEPS[key].title, url, css, words, here == key)


def _fails(fails: int | None) -> str:
    if fails is None:
        return _("not checked yet")
    if not fails:
        return _("ready")
    return ngettext("%(n)d check fails", "%(n)d checks fail", fails) % {"n": fails}
