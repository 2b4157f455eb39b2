"""The wizard's part of the pages' URL map; it is included there, so its names are `web:…` too."""

from django.urls import path

from console.web.wizard import importing, review, views

urlpatterns = [
    path("deploy/", views.wizard_new, name="wizard_new"),
    path("deploy/import/", importing.wizard_import, name="wizard_import"),
    path("deploy/name/", views.wizard_name, name="wizard_name"),
    path("deploy/<int:draft_id>/discard/", views.wizard_discard, name="wizard_discard"),
    path("deploy/<int:draft_id>/definition.yaml", review.draft_yaml, name="wizard_yaml"),
    path("deploy/<int:draft_id>/<slug:step>/", views.wizard_step, name="wizard_step"),
    path("deployments/<slug:name>/change/", views.deployment_change, name="deployment_change"),
]
