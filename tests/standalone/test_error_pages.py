"""What the ready project shows where something is wrong; a project of one's own keeps its pages."""

import re
from http import HTTPStatus

import pytest
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404
from django.middleware.csrf import REASON_BAD_ORIGIN, REASON_NO_CSRF_COOKIE
from django.test import Client, RequestFactory
from django.urls import path
from django.utils import translation

from ftp_deploy.standalone import pages, urls

RAISED = {"denied": PermissionDenied, "gone": Http404, "odd": SuspiciousOperation, "broken": RuntimeError}


def failing(error: type[Exception]):
    @login_not_required
    def view(request):
        raise error("canary")

    return view


urlpatterns = [path(f"{name}/", failing(error)) for name, error in RAISED.items()] + urls.urlpatterns
handler400, handler403, handler404, handler500 = urls.handler400, urls.handler403, urls.handler404, urls.handler500


@pytest.fixture(autouse=True)
def _ready_project(settings) -> None:
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "ftp_deploy.standalone"]
    settings.ROOT_URLCONF = __name__
    settings.CSRF_FAILURE_VIEW = "ftp_deploy.standalone.pages.csrf_failure"


def shown(response) -> str:
    text = response.content.decode()
    assert "gate-card" in text
    assert "canary" not in text
    assert 'href="/"' in text
    return re.search(r"<h1>(.*?)</h1>", text)[1]


@pytest.mark.parametrize(
    ("address", "status", "title"),
    [
        ("/denied/", 403, "You may not see this"),
        ("/gone/", 404, "There is nothing here"),
        ("/nowhere", 404, "There is nothing here"),
        ("/odd/", 400, "That could not be read"),
        ("/broken/", 500, "Something went wrong"),
    ],
)
def test_each_error_has_a_page_that_needs_no_database(address, status, title) -> None:
    response = Client(raise_request_exception=False).get(address)
    assert (response.status_code, shown(response)) == (status, title)


def test_a_name_that_the_site_does_not_know_is_explained(settings) -> None:
    settings.ALLOWED_HOSTS = ["deploy.example.com"]
    response = Client().get("/", headers={"Host": "192.0.2.7:8000"})
    assert (response.status_code, shown(response)) == (400, "This site does not answer to that name")
    assert "ALLOWED_HOSTS" in response.content.decode()


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("", "Reload the page"),
        (REASON_NO_CSRF_COOKIE, "Allow cookies"),
        (REASON_BAD_ORIGIN % "https://elsewhere.example.com", "BASE_URL has to be"),
    ],
)
def test_a_form_that_cannot_be_trusted_says_what_to_do(reason, words) -> None:
    response = pages.csrf_failure(RequestFactory().post("/"), reason)
    assert (response.status_code, shown(response)) == (403, "The form could not be taken")
    assert words in response.content.decode()


@pytest.mark.django_db
def test_a_form_without_its_token_meets_that_page() -> None:
    response = Client(enforce_csrf_checks=True).post("/login/", {"username": "a", "password": "b"})
    assert shown(response) == "The form could not be taken"


def test_too_many_wrong_passwords() -> None:
    response = pages.locked_out(RequestFactory().post("/"), {"username": "canary"})
    assert (response.status_code, shown(response)) == (429, "Too many wrong passwords")


def test_programs_get_a_line_of_text() -> None:
    response = Client().get("/nowhere", headers={"Accept": "application/json"})
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.content.decode().startswith("There is nothing here. ")


def test_where_the_page_itself_is_broken_a_line_of_text_remains(monkeypatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr(pages.log, "exception", lambda words, *_values: logged.append(words))
    monkeypatch.setattr(pages, "TEMPLATE", "none.html")
    response = pages.server_error(RequestFactory().get("/", headers={"Accept": "text/html"}))
    assert (response.status_code, response.content[:20]) == (HTTPStatus.INTERNAL_SERVER_ERROR, b"Something went wrong")
    assert logged == ["The page for status %d could not be made."]


def test_they_speak_the_viewer_s_language() -> None:
    with translation.override("pl"):
        assert shown(pages.not_found(RequestFactory().get("/"))) != "There is nothing here"


def test_a_project_keeps_its_own_pages(settings) -> None:
    settings.ROOT_URLCONF = "tests.urls"
    response = Client().get("/nowhere")
    assert response.status_code == 404
    assert "gate-card" not in response.content.decode()
    response = Client().get("/", headers={"Host": "bad host"})
    assert "gate-card" not in response.content.decode()
