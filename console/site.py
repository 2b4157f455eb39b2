"""The AdminSite that frames the read-only records in the console's own look and sign-in."""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy


class ConsoleAdminSite(AdminSite):
    """Shows every stored record to staff; pages under `/` do the work."""

    site_header = gettext_lazy("Scoring console")
    site_title = gettext_lazy("Scoring console")
    index_title = gettext_lazy("Records")
    enable_nav_sidebar = False

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Send a stranger to the one sign-in page; tell a signed-in user what is missing.

        Raises:
            PermissionDenied: the user is signed in but is not staff.
        """
        if not request.user.is_authenticated:
            return redirect_to_login(request.GET.get("next") or request.get_full_path())
        if not self.has_permission(request):
            raise PermissionDenied(_("The records are open to staff accounts only."))
        return redirect("admin:index")
