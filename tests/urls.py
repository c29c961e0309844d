"""URLs of the test project, mounted as the user guide shows."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("ftpdeploy/", include("ftp_deploy.urls")),
    path("ftpdeploy/", include("ftp_deploy.server.urls")),
]
