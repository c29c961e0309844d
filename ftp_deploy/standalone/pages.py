"""The pages of the ready project for what went wrong: 400, 403, 404, 429, 500, and a form that cannot be trusted.

They need no database and no login, so that they can be shown whatever is broken. Only the ready project names them as
its handlers: the reusable app leaves a project's own pages alone.
"""

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import REASON_BAD_ORIGIN, REASON_NO_CSRF_COOKIE
from django.template import loader
from django.utils.translation import gettext as _

log = logging.getLogger(__name__)

TEMPLATE = "ftp_deploy_standalone/error.html"


def page(request: HttpRequest, status: HTTPStatus, title: str, text: str, *, login: bool = False) -> HttpResponse:
    """Return a page in the design of the dashboard; plain text to who takes no HTML, and where none can be made.

    The template is given no request: neither a session nor a host name has to be looked up.
    """
    if request.accepts("text/html"):
        try:
            context = {"status": int(status), "title": title, "text": text, "login": login}
            return HttpResponse(loader.render_to_string(TEMPLATE, context), status=status)
        except Exception:
            log.exception("The page for status %d could not be made.", status)
    return HttpResponse(f"{title}. {text}\n", status=status, content_type="text/plain; charset=utf-8")


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400; a host name that the site does not answer to is the one that newcomers meet."""
    if isinstance(exception, DisallowedHost):
        title = _("This site does not answer to that name")
        text = _("Whoever runs it: set BASE_URL to the address that the browser shows, or add it to ALLOWED_HOSTS.")
        return page(request, HTTPStatus.BAD_REQUEST, title, text)
    text = _("The browser sent something that this site does not understand.")
    return page(request, HTTPStatus.BAD_REQUEST, _("That could not be read"), text)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403."""
    text = _("Your account lacks a permission for it. Ask an administrator, or log in with another account.")
    return page(request, HTTPStatus.FORBIDDEN, _("You may not see this"), text, login=True)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404."""
    text = _("The address is wrong, or what was here has been deleted.")
    return page(request, HTTPStatus.NOT_FOUND, _("There is nothing here"), text)


def server_error(request: HttpRequest) -> HttpResponse:
    """500."""
    text = _("The reason is in the log of the web process. Deploys go on; try again in a moment.")
    return page(request, HTTPStatus.INTERNAL_SERVER_ERROR, _("Something went wrong"), text)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for a form without the token that proves where it comes from; Django names the reason."""
    text = _("The page was open for too long, or you logged in again elsewhere. Reload the page and send it again.")
    if reason == REASON_NO_CSRF_COOKIE:
        text = _("Your browser sent no cookie. Allow cookies for this site, reload the page and send it again.")
    elif reason.startswith(REASON_BAD_ORIGIN.partition("%")[0]):
        text = _("Whoever runs this site: BASE_URL has to be the address that the browser shows.")
    return page(request, HTTPStatus.FORBIDDEN, _("The form could not be taken"), text)


def locked_out(request: HttpRequest, credentials: dict[str, Any] | None = None, *_rest: Sequence[Any]) -> HttpResponse:
    """429 after too many wrong passwords, in the place of the page of django-axes."""
    text = _("This account is closed for a quarter of an hour. Wait, then try again.")
    return page(request, HTTPStatus.TOO_MANY_REQUESTS, _("Too many wrong passwords"), text, login=True)
