"""The addresses that forges and status readers call; mounted by the project."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
