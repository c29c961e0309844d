"""The addresses of the ready project: the dashboard at the root, hooks, the admin, health, metrics; error pages."""

from django.contrib import admin
from django.urls import include, path

from ftp_deploy.standalone import health, metrics, setup

handler400 = "ftp_deploy.standalone.pages.bad_request"
handler403 = "ftp_deploy.standalone.pages.forbidden"
handler404 = "ftp_deploy.standalone.pages.not_found"
handler500 = "ftp_deploy.standalone.pages.server_error"

urlpatterns = [
    path("healthz", health.live, name="healthz"),
    path("readyz", health.ready, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("setup/<str:token>/", setup.FirstAccountView.as_view(), name="setup"),
    path("admin/", admin.site.urls),
    path("", include("ftp_deploy.urls")),
    path("", include("ftp_deploy.server.urls")),
]
