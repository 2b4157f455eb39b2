"""Numbers and moments as people read them: durations, ages, short digests."""

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.formats import date_format, time_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext


def duration(seconds: float | timedelta | None) -> str:
    """`1 m 52 s`, `31 s`, `2 h 05 m`, `5 min`, `420 ms`; empty for None."""
    if seconds is None:
        return ""
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    seconds = max(seconds, 0.0)
    if seconds < 1:
        return _("%(n)d ms") % {"n": round(seconds * 1000)}
    if seconds < 60:
        return _("%(n)d s") % {"n": int(seconds)}
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return _("%(m)d m %(s)02d s") % {"m": minutes, "s": rest} if rest else _("%(m)d min") % {"m": minutes}
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return _("%(h)d h %(m)02d m") % {"h": hours, "m": minutes} if minutes else _("%(h)d h") % {"h": hours}
    return ngettext("%(n)d day", "%(n)d days", hours // 24) % {"n": hours // 24}


def saved_time(seconds: float) -> str:
    """Time that was saved, with a minus where it was lost; `0` for neither."""
    if not seconds:
        return "0"
    return f"−{duration(-seconds)}" if seconds < 0 else duration(seconds)


def ago(moment: datetime | None, *, now: datetime | None = None) -> str:
    """`just now`, `12 min ago`, `4 h ago`, `yesterday`, else the date; what is to come is `in 3 h 05 m`."""
    if moment is None:
        return ""
    now = now or timezone.now()
    seconds = (now - moment).total_seconds()
    if seconds < -60:
        return _("in %(time)s") % {"time": duration(-seconds)}
    if seconds < 60:
        return _("just now")
    if seconds < 3600:
        return _("%(n)d min ago") % {"n": seconds // 60}
    if seconds < 86400:
        return _("%(n)d h ago") % {"n": seconds // 3600}
    if timezone.localdate(now) - timezone.localdate(moment) == timedelta(days=1):
        return _("yesterday")
    return day(moment, now=now)


def moment(when: datetime | None, *, now: datetime | None = None) -> str:
    """`today 09:38`, `yesterday 17:02`, `11 Nov 09:38`; with the year when it is another one."""
    if when is None:
        return ""
    now = now or timezone.now()
    local = timezone.localtime(when)
    clock = time_format(local, "H:i")
    days = (timezone.localdate(now) - local.date()).days
    if days == 0:
        return _("today %(time)s") % {"time": clock}
    if days == 1:
        return _("yesterday %(time)s") % {"time": clock}
    return f"{day(when, now=now)} {clock}"


def day(when: datetime, *, now: datetime | None = None) -> str:
    """`11 Nov`, with the year when it is another one."""
    local = timezone.localtime(when)
    same_year = local.year == timezone.localtime(now or timezone.now()).year
    return date_format(local, "j M" if same_year else "j M Y")


def clock(when: datetime, *, span: timedelta) -> str:
    """A label on a time axis: the hour within two days, else the day."""
    return time_format(timezone.localtime(when), "H:i") if span <= timedelta(days=2) else day(when)


def sentence(text: str) -> str:
    """The text with a full stop, so that another sentence may follow; empty stays empty."""
    return f"{text.rstrip('.')}." if text else ""


def short(digest: str | None, *, length: int = 8) -> str:
    """The first characters of a digest, enough to tell two apart."""
    return (digest or "")[:length]
