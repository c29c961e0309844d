"""Login, logout, password change: Django's own views in the dashboard's clothes."""

from typing import Any

from django.contrib import messages
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponse
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _

from ftp_deploy.server.views.base import Framed, Page


@method_decorator(login_not_required, name="dispatch")
class Login(Framed, auth.LoginView):
    """The login page."""

    template_name = "ftp_deploy/server/auth/login.html"
    next_page: Any = reverse_lazy("ftpdeploy_dashboard")


@method_decorator(login_not_required, name="dispatch")
class Logout(Framed, auth.LogoutView):  # type: ignore[misc]
    """Log out; POST only."""

    next_page: Any = reverse_lazy("ftpdeploy_login")


class PasswordChange(Page, auth.PasswordChangeView):
    """Change one's own password; needs no permission but a login."""

    permission_required = None
    template_name = "ftp_deploy/server/auth/password_change.html"
    success_url = reverse_lazy("ftpdeploy_dashboard")

    def check_permissions(self, request: object) -> bool:
        """Everybody may change their own password."""
        return True

    def form_valid(self, form: Any) -> HttpResponse:
        """Say that it worked."""
        messages.success(self.request, _("Your password is changed."))
        response: HttpResponse = super().form_valid(form)
        return response
