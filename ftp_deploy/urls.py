"""The addresses that forges and status readers call; mounted by the project."""

from django.urls import URLPattern, path

from ftp_deploy import views

urlpatterns: list[URLPattern] = [
    path("deploy/<str:secret_key>", views.deploy, name="ftpdeploy_deploy"),
    path("deploy/status/<str:secret_key>", views.deploy_status, name="ftpdeploy_deploy_status"),
]
