"""The dashboard's addresses; names begin with ``ftpdeploy_``."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
