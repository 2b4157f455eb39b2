"""Which form of a model executes, in words."""

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from deployments.domain.environments import EnvironmentSettings
from deployments.domain.spec import Spec
from deployments.services.health import Execution

_NOTHING_GAINED = 1.05  # times faster: less is not worth a word


def executes(what: Execution) -> str:
    """`ONNX, 47 times faster than the original`."""
    if what.form != "onnx":
        return _("Original")
    if what.gain is None or what.gain < _NOTHING_GAINED:
        return _("ONNX")
    times = number_format(what.gain, 0 if what.gain >= 10 else 1, force_grouping=True)
    return _("ONNX, %(n)s times faster than the original") % {"n": times}


def will_execute(spec: Spec, rules: EnvironmentSettings) -> str:
    """What a run of a Spec will decide, before there is a package."""
    if spec.code is not None and spec.code.entry_script:
        return _("as the entry script decides")
    asked = spec.execution if rules.execution in (None, "auto") else rules.execution
    return {
        "onnx": _("ONNX alone: the run fails where it does not prove equal"),
        "original": _("as it was trained"),
    }.get(str(asked), _("ONNX where it proves equal, else as it was trained"))
