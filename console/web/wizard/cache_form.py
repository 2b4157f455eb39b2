"""The cache step: whether answers are kept, for how long, how many, and what of the input is kept with them."""

from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from console.web.wizard.forms import StepForm, lines
from console.web.wizard.situation import Situation, Values
from deployments.domain import limits
from deployments.domain.spec import CachePart, Spec

HOUR, DAY = 3600, 24 * 3600
UNITS = {"days": DAY, "hours": HOUR, "minutes": 60, "seconds": 1}
OTHER = "other"
PRESETS = {str(HOUR): _("1 hour"), str(DAY): _("1 day"), str(7 * DAY): _("1 week"), "0": _("No end")}
SIZES_MB = (16, 64, 256, 1024, 4096)
# One answer to a request of 64 numbers, with its input, key and Redis' own bookkeeping.
ENTRY_BYTES = 1100


@dataclass(frozen=True, slots=True)
class Size:
    """A row of the table of sizes."""

    value: str
    megabytes: int
    entries: int
    fits: bool
    chosen: bool


class CacheForm(StepForm):
    """Durations and sizes are chosen from the usual ones, or typed."""

    paths: ClassVar = {
        "cache": "masked_fields",
        "cache.policy": "policy",
        "cache.ttl_seconds": "ttl",
        "cache.max_memory_mb": "size",
        "cache.store_input": "store_input",
        "cache.timeout_ms": "timeout_ms",
        "cache.local_mb": "local_mb",
        "cache.keys": "keys",
        "cache.keyed_digests": "keyed_digests",
    }

    policy = forms.ChoiceField(
        label=_("Use"), choices=[("on", _("On")), ("auto", _("Auto")), ("off", _("Off"))], widget=forms.RadioSelect
    )
    ttl = forms.ChoiceField(
        label=_("Keep answers for"), choices=[*PRESETS.items(), (OTHER, _("Other"))], widget=forms.RadioSelect
    )
    ttl_amount = forms.IntegerField(label=_("Other duration"), required=False, min_value=1)
    ttl_unit = forms.ChoiceField(
        label=_("Unit"),
        required=False,
        choices=[("days", _("days")), ("hours", _("hours")), ("minutes", _("minutes")), ("seconds", _("seconds"))],
        widget=forms.Select(attrs={"aria-label": _("Unit")}),
    )
    size = forms.ChoiceField(
        label=_("Size"),
        choices=[*((str(size), str(size)) for size in SIZES_MB), (OTHER, _("Other"))],
        widget=forms.RadioSelect,
    )
    size_mb = forms.IntegerField(
        label=_("Other size in MB"), required=False, min_value=limits.MIN_CACHE_MB, max_value=limits.MAX_CACHE_MB
    )
    store_input = forms.ChoiceField(
        label=_("Input kept with the answer"),
        choices=[("whole", _("Whole")), ("masked", _("Some fields masked")), ("none", _("Not kept"))],
        widget=forms.RadioSelect,
    )
    masked_fields = forms.CharField(
        label=_("Masked fields"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        help_text=_(
            "Names of columns, one a line or separated by commas. Their values are never written to the cache."
        ),
    )
    keys = forms.ChoiceField(
        label=_("One entry for"),
        choices=[("request", _("Each request")), ("row", _("Each row"))],
        widget=forms.RadioSelect,
    )
    keyed_digests = forms.BooleanField(label=_("Make keys with a secret"), required=False)
    local_mb = forms.IntegerField(
        label=_("In each process"),
        min_value=0,
        max_value=limits.MAX_LOCAL_CACHE_MB,
        help_text=_(
            "Memory in which each server process keeps answers too, told by Redis when they change; 0 keeps none."
        ),
    )
    timeout_ms = forms.IntegerField(
        label=_("Patience"),
        min_value=1,
        max_value=5_000,
        help_text=_("Milliseconds that one look into the cache may cost; after that the model answers."),
    )

    @classmethod
    def defaults(cls, situation: Situation) -> Values:
        return _values(CachePart())

    @classmethod
    def values(cls, spec: Spec) -> Values:
        return _values(spec.cache)

    def clean(self) -> None:
        super().clean()
        if self.got("ttl") == OTHER and self.got("ttl_amount") is None and "ttl_amount" not in self.errors:
            self.add_error("ttl_amount", _("Say how long, or choose one of the durations."))
        if self.got("size") == OTHER and self.got("size_mb") is None and "size_mb" not in self.errors:
            self.add_error("size_mb", _("Say how many megabytes, or choose one of the sizes."))
        if self.got("store_input") == "masked" and not self._masked():
            self.add_error("masked_fields", _("Name the fields to mask, or choose another way to keep the input."))

    def part(self) -> dict[str, Any]:
        cache: dict[str, Any] = {
            "policy": self.got("policy", "on"),
            "store_input": self.got("store_input", "whole"),
            "timeout_ms": self.got("timeout_ms", 100),
            "local_mb": self.got("local_mb", CachePart().local_mb),
            "keys": self.got("keys", "request"),
            "keyed_digests": self.got("keyed_digests", False),
            "masked_fields": self._masked() if self.got("store_input") == "masked" else [],
        }
        if (ttl := self._ttl_seconds()) is not None:
            cache["ttl_seconds"] = ttl
        if (size := self._megabytes()) is not None:
            cache["max_memory_mb"] = size
        return {"cache": cache}

    def sizes(self) -> list[Size]:
        """The table of sizes; the smallest one that holds a day of one new answer a second is said to fit."""
        chosen = str(self["size"].value())
        fitting = next(size for size in SIZES_MB if size * 1024 * 1024 >= DAY * ENTRY_BYTES)
        return [
            Size(str(size), size, size * 1024 * 1024 // ENTRY_BYTES, size == fitting, chosen == str(size))
            for size in SIZES_MB
        ]

    def _masked(self) -> list[str]:
        names = (part.strip() for line in lines(self.got("masked_fields", "")) for part in line.split(","))
        return [name for name in names if name]

    def _ttl_seconds(self) -> int | None:
        chosen = self.got("ttl")
        if chosen != OTHER:
            return int(chosen) if chosen else None
        amount = self.got("ttl_amount")
        return amount * UNITS[self.got("ttl_unit", "hours")] if amount is not None else None

    def _megabytes(self) -> int | None:
        chosen = self.got("size")
        if chosen != OTHER:
            return int(chosen) if chosen else None
        return self.got("size_mb")


def _values(cache: CachePart) -> Values:
    preset = str(cache.ttl_seconds) in PRESETS
    unit = next(name for name, seconds in UNITS.items() if cache.ttl_seconds % seconds == 0)
    listed = cache.max_memory_mb in SIZES_MB
    return {
        "policy": cache.policy,
        "ttl": str(cache.ttl_seconds) if preset else OTHER,
        "ttl_amount": "" if preset else cache.ttl_seconds // UNITS[unit],
        "ttl_unit": "hours" if preset else unit,
        "size": str(cache.max_memory_mb) if listed else OTHER,
        "size_mb": "" if listed else cache.max_memory_mb,
        "store_input": cache.store_input,
        "masked_fields": "\n".join(cache.masked_fields),
        "timeout_ms": cache.timeout_ms,
        "local_mb": cache.local_mb,
        "keys": cache.keys,
        "keyed_digests": cache.keyed_digests,
    }
