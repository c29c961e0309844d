"""What every page shares: login, permission, the viewer's time zone, security headers."""

import zoneinfo
from typing import Any
from urllib.parse import urlencode, urlsplit

from braces.views import LoginRequiredMixin, PermissionRequiredMixin
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.decorators import method_decorator
from django.views.generic import View

ZONE_COOKIE = "ftpdeploy_zone"
CONTENT_POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"


def viewer_zone(request: HttpRequest) -> zoneinfo.ZoneInfo:
    """Return the time zone that the viewer's browser told us, or the project's."""
    name = request.COOKIES.get(ZONE_COOKIE, "") or settings.TIME_ZONE or "UTC"
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return zoneinfo.ZoneInfo("UTC")


def protect(response: HttpResponseBase) -> None:
    """Add the security headers that the project has not set itself.

    A page and the part of it that htmx asks for have one address: the browser must not show one for the other.
    """
    patch_vary_headers(response, ("HX-Request", "HX-Target"))
    for name, value in {
        "Content-Security-Policy": CONTENT_POLICY,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "private, no-cache",
    }.items():
        response.headers.setdefault(name, value)


class Framed(View):
    """Renders in the viewer's time zone and with the security headers."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Render inside the viewer's time zone, which ends with this call."""
        with timezone.override(viewer_zone(request)):
            response = super().dispatch(request, *args, **kwargs)
            if isinstance(response, TemplateResponse):
                response = response.render()
        protect(response)
        return response


# The pages send strangers to their own login page, also where Django's LoginRequiredMiddleware knows another one.
@method_decorator(login_not_required, name="dispatch")
class Page(LoginRequiredMixin, PermissionRequiredMixin, Framed):
    """A page or an action for people who are logged in and hold ``permission_required``."""

    login_url = reverse_lazy("ftpdeploy_login")
    permission_required: str | None = "ftp_deploy.view_service"
    raise_exception = True
    redirect_unauthenticated_users = True

    def no_permissions_fail(self, request: HttpRequest | None = None) -> HttpResponseBase:
        """Lead a stranger to the login; where a script asked for a part of a page, lead the whole page there."""
        response: HttpResponseBase = super().no_permissions_fail(request)
        if request is None or not request.headers.get("HX-Request"):
            return response
        shown = urlsplit(request.headers.get("HX-Current-URL", ""))._replace(scheme="", netloc="").geturl()
        login = f"{self.get_login_url()}?{urlencode({'next': shown or '/'})}"
        return HttpResponse(status=204, headers={"HX-Redirect": login})
