"""The addresses of the API below /api/v1/: its endpoints, its document, and the page that shows it."""

from django.urls import path

from console.api.api import api
from console.api.documents import openapi, reference

urlpatterns = [
    path("openapi.json", openapi, name="openapi"),
    path("docs", reference, name="api_docs"),
    path("", api.urls),
]
