"""The site's URL map."""

from django.contrib import admin
from django.contrib.auth import views as auth_views
from django.urls import URLPattern, URLResolver, include, path

from console.api.health import alive, ready

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("console.web.urls")),
    path("api/v1/", include("console.api.urls")),
    path("healthz", alive, name="healthz"),
    path("readyz", ready, name="readyz"),
    path("admin/", admin.site.urls),
    path("accounts/login/", auth_views.LoginView.as_view(), name="login"),
    path("accounts/logout/", auth_views.LogoutView.as_view(), name="logout"),
    path("accounts/password/", auth_views.PasswordChangeView.as_view(), name="password_change"),
    path("accounts/password/done/", auth_views.PasswordChangeDoneView.as_view(), name="password_change_done"),
    path("i18n/", include("django.conf.urls.i18n")),
]
