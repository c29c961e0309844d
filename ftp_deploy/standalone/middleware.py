"""Headers that the stand-alone project adds to each answer."""

from collections.abc import Callable

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
