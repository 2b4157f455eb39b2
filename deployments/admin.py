"""Every stored record, to be read: what changes them are the verbs of the services, which ask and tell."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from simple_history.admin import SimpleHistoryAdmin

from .models import (
    ApiToken,
    Artifact,
    AuditEntry,
    Deployment,
    Draft,
    Environment,
    Event,
    IdempotentAnswer,
    Invocation,
    ManagedResource,
    Membership,
    Revision,
    Run,
    Sample,
    Sighting,
    StepRecord,
    Upload,
    WorkerSeen,
)


class ReadOnly(admin.ModelAdmin):
    """Nothing can be added, changed or deleted here, whatever permissions a user holds."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ReadOnlyWithHistory(ReadOnly, SimpleHistoryAdmin):
    """Definitions, with who changed what and when."""

    def history_form_view(
        self, request: HttpRequest, object_id: str, version_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # The view saves the earlier state on any POST, asking for no more than the permission to look.
        if request.method != "GET":
            raise PermissionDenied
        return super().history_form_view(request, object_id, version_id, extra_context)


class MembershipInline(admin.TabularInline):
    """Who has which role in an environment."""

    model = Membership
    fields = ["user", "role", "inputs"]
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Environment)
class EnvironmentAdmin(ReadOnlyWithHistory):
    list_display = ["name", "title", "target", "tone", "created_at"]
    list_filter = ["target", "tone"]
    search_fields = ["name", "title"]
    inlines = [MembershipInline]


@admin.register(Membership)
class MembershipAdmin(ReadOnlyWithHistory):
    list_display = ["user", "environment", "role", "inputs"]
    list_filter = ["environment", "role", "inputs"]
    search_fields = ["user__username", "environment__name"]


@admin.register(Deployment)
class DeploymentAdmin(ReadOnlyWithHistory):
    list_display = ["name", "environment", "live_revision", "data_epoch", "created_by", "created_at"]
    list_filter = ["environment"]
    list_select_related = ["environment", "live_revision", "created_by"]
    search_fields = ["name", "uid", "description"]


@admin.register(Revision)
class RevisionAdmin(ReadOnly):
    list_display = ["deployment", "number", "model_version", "note", "created_by", "created_at"]
    list_select_related = ["deployment", "created_by"]
    search_fields = ["deployment__name", "model_version", "note"]


@admin.register(ManagedResource)
class ManagedResourceAdmin(ReadOnly):
    list_display = ["name", "kind", "deployment", "owned", "attempted_at", "ready_at"]
    list_filter = ["kind", "owned"]
    list_select_related = ["deployment"]
    search_fields = ["name", "deployment__name"]


@admin.register(Run)
class RunAdmin(ReadOnly):
    list_display = ["id", "deployment", "kind", "state", "reason", "created_by", "created_at", "finished_at"]
    list_filter = ["state", "kind"]
    list_select_related = ["deployment", "created_by"]
    search_fields = ["deployment__name", "reason"]
    # The token is what a worker writes with: it is nobody else's.
    exclude = ["lease_token"]


@admin.register(StepRecord)
class StepAdmin(ReadOnly):
    list_display = ["key", "run", "stage", "action", "state", "outcome", "attempts", "finished_at"]
    list_filter = ["state", "stage"]
    list_select_related = ["run"]
    search_fields = ["key", "name", "run__deployment__name"]


@admin.register(Event)
class EventAdmin(ReadOnly):
    list_display = ["run", "seq", "time", "step", "level", "message"]
    list_filter = ["level"]
    list_select_related = ["run"]
    search_fields = ["message", "run__deployment__name"]


@admin.register(Sighting)
class SightingAdmin(ReadOnly):
    list_display = ["deployment", "revision", "at", "differs_since", "error"]
    list_select_related = ["deployment", "revision__deployment"]
    search_fields = ["deployment__name", "error"]


@admin.register(Upload)
class UploadAdmin(ReadOnly):
    list_display = ["artifact", "user", "at"]
    search_fields = ["artifact__name", "user__username"]


@admin.register(Artifact)
class ArtifactAdmin(ReadOnly):
    list_display = ["name", "size", "format", "uploaded_by", "created_at"]
    list_filter = ["format"]
    list_select_related = ["uploaded_by"]
    search_fields = ["name", "id"]


@admin.register(Invocation)
class InvocationAdmin(ReadOnly):
    list_display = ["at", "deployment", "user", "label", "status", "cache", "duration_ms"]
    list_filter = ["status", "cache"]
    list_select_related = ["deployment", "user"]
    search_fields = ["deployment__name", "label"]


@admin.register(Sample)
class SampleAdmin(ReadOnly):
    list_display = ["name", "deployment", "created_by", "created_at"]
    list_select_related = ["deployment", "created_by"]
    search_fields = ["name", "deployment__name"]


@admin.register(Draft)
class DraftAdmin(ReadOnly):
    list_display = ["__str__", "owner", "deployment", "updated_at"]
    list_select_related = ["owner", "deployment"]
    search_fields = ["owner__username"]


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnly):
    list_display = ["name", "prefix", "user", "scopes", "expires_at", "revoked_at", "last_used_at"]
    list_select_related = ["user"]
    search_fields = ["name", "prefix", "user__username"]
    exclude = ["digest"]


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly):
    list_display = ["at", "actor", "via", "action", "subject", "environment", "result", "reason"]
    list_filter = ["result", "action", "environment"]
    search_fields = ["actor", "subject", "reason"]


@admin.register(IdempotentAnswer)
class IdempotentAnswerAdmin(ReadOnly):
    list_display = ["operation", "key", "user", "status", "created_at"]
    list_select_related = ["user"]
    search_fields = ["operation", "key", "user__username"]


@admin.register(WorkerSeen)
class WorkerSeenAdmin(ReadOnly):
    list_display = ["name", "at"]
