"""JSON bodies: those that come in, held to what the database can take, and those that go out."""

import json
import re
from datetime import datetime
from typing import Any, NoReturn

from django.http import HttpRequest
from ninja.parser import Parser
from ninja.renderers import JSONRenderer
from ninja.responses import NinjaJSONEncoder

from deployments.domain.errors import ConsoleError
from deployments.domain.storable import finite, is_storable

# An escaped U+0000 or half of a surrogate pair: valid JSON, but no database stores it as text.
_SUSPECT = re.compile(rb"\\u(0000|[dD][89a-fA-F])")


class StrictParser(Parser):
    """RFC 8259 and nothing beyond it."""

    def parse_body(self, request: HttpRequest) -> Any:
        """Raises ConsoleError or ValueError."""
        try:
            data = json.loads(request.body, parse_constant=_refuse, parse_float=finite)
            if _SUSPECT.search(request.body):
                _check_text(data)
        except RecursionError:
            raise ConsoleError("The body is nested too deep", action="Send a flatter structure.") from None
        return data


class MicrosecondEncoder(NinjaJSONEncoder):
    """Times whole: Django's own encoder cuts them to milliseconds, within which many events of a run fall."""

    def default(self, o: Any) -> Any:
        if isinstance(o, datetime):
            return o.isoformat().replace("+00:00", "Z")
        return super().default(o)


class Renderer(JSONRenderer):
    """Answers as pydantic itself would write them."""

    encoder_class = MicrosecondEncoder


def _refuse(name: str) -> NoReturn:
    raise ConsoleError(f"{name} is not JSON", action="Send null for a missing value.")


def _check_text(data: Any) -> None:
    if not is_storable(data):
        raise ConsoleError(
            "The body holds U+0000 or half of a surrogate pair", action="Remove it: it cannot be stored as text."
        )
