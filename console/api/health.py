"""Whether the console lives and whether it can work; asked by load balancers, so without a token or details."""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from ninja import Router, Status

from console.api.schemas import HealthOut
from deployments.services.readiness import is_ready

router = Router(auth=None)


@router.get("/healthz", operation_id="healthz", summary="Is it alive?", response=HealthOut)
def healthz(request: HttpRequest) -> HealthOut:
    """The web server answers."""
    return HealthOut(status="ok")


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Can it work?",
    response={200: HealthOut, 503: HealthOut},
)
def readyz(request: HttpRequest) -> Status[HealthOut]:
    """Database and broker answer, and a worker was seen lately."""
    if is_ready():
        return Status(HTTPStatus.OK, HealthOut(status="ok"))
    return Status(HTTPStatus.SERVICE_UNAVAILABLE, HealthOut(status="unavailable"))


@never_cache
@require_safe
def alive(request: HttpRequest) -> HttpResponse:
    """The same as healthz at the site's root, where load balancers look for it."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """The same as readyz at the site's root."""
    return JsonResponse({"status": "ok"}) if is_ready() else JsonResponse({"status": "unavailable"}, status=503)
