"""Headers that the stand-alone project adds to each answer, and the door in front of its pages."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse

from ftp_deploy.standalone.site import site

POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "style-src 'self'",
        "script-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""Only our own files, nothing inline. https://www.w3.org/TR/CSP3/"""

Answer = Callable[[HttpRequest], HttpResponse]


def content_security_policy(get_response: Answer) -> Answer:
    """Say in each answer where a page may load things from; ``CONTENT_SECURITY_POLICY`` in the settings overrides."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", site.CONTENT_SECURITY_POLICY or POLICY)
        return response

    return middleware


class LoginRequired(LoginRequiredMiddleware):
    """Django's, but who is asking is looked up only where the view wants a login: pollers and hooks are many."""

    def process_view(self, request: HttpRequest, view_func: Any, view_args: Any, view_kwargs: Any) -> Any:
        """Let a view that asks for no login answer at once."""
        if not getattr(view_func, "login_required", True):
            return None
        return super().process_view(request, view_func, view_args, view_kwargs)
