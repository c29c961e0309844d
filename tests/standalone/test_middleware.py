"""The door in front of the pages looks at people only where it has to."""

from types import SimpleNamespace

import pytest
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import AnonymousUser
from django.http import HttpResponse
from django.test import RequestFactory

from ftp_deploy.standalone import settings as standalone
from ftp_deploy.standalone.middleware import LoginRequired


def door(view, user):
    request = RequestFactory().get("/deploys/1/")
    request.user = user
    return LoginRequired(lambda _request: HttpResponse()).process_view(request, view, (), {})


def test_a_view_without_a_login_never_asks_who_it_is() -> None:
    assert "ftp_deploy.standalone.middleware.LoginRequired" in standalone.MIDDLEWARE
    assert door(login_not_required(lambda _request: None), object()) is None


@pytest.mark.urls("ftp_deploy.standalone.urls")
def test_any_other_view_needs_a_login(settings) -> None:
    settings.LOGIN_URL = "ftpdeploy_login"
    answer = door(lambda _request: None, AnonymousUser())
    assert answer.url == "/login/?next=/deploys/1/"
    assert door(lambda _request: None, SimpleNamespace(is_authenticated=True)) is None
