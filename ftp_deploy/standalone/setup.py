"""The first account of a fresh installation, made through a link that works once."""

from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model, login
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import BaseUserCreationForm
from django.contrib.auth.models import User
from django.core import signing
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse, reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.generic import FormView

SALT = "ftp_deploy.standalone.setup"
LINK_SECONDS = 24 * 3600


def needs_first_account() -> bool:
    """Whether nobody can administer this site yet."""
    return not get_user_model()._default_manager.filter(is_superuser=True, is_active=True).exists()


def setup_path() -> str:
    """Return the path of the link that makes the first account. It dies with use, and after a day."""
    return reverse("setup", args=[signing.dumps("first account", salt=SALT)])


if TYPE_CHECKING:
    _UserForm = BaseUserCreationForm[User]
    _FormView = FormView["FirstAccountForm"]
else:
    _UserForm = BaseUserCreationForm
    _FormView = FormView


class FirstAccountForm(_UserForm):
    """User name, address and a password given twice."""

    class Meta(BaseUserCreationForm.Meta):
        model = User
        fields = ("username", "email")

    def save(self, commit: bool = True) -> User:
        """Store the account as one that may do everything."""
        user: User = super().save(commit=False)
        user.is_staff = user.is_superuser = True
        if commit:
            user.save()
        return user


@method_decorator([login_not_required, never_cache], name="dispatch")
class FirstAccountView(_FormView):
    """Make the first account and log it in. 404 for a wrong or old link, and once there is an account."""

    form_class = FirstAccountForm
    template_name = "ftp_deploy_standalone/setup.html"
    success_url = reverse_lazy("ftpdeploy_dashboard")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Look at the link before anything else."""
        try:
            signing.loads(kwargs["token"], salt=SALT, max_age=LINK_SECONDS)
        except signing.BadSignature as error:
            raise Http404 from error
        if not needs_first_account():
            raise Http404
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: FirstAccountForm) -> HttpResponse:
        """Store the account; of two people at the same link only one gets it."""
        with transaction.atomic():
            user = form.save()
            first = (
                get_user_model()._default_manager.select_for_update().filter(is_superuser=True).order_by("pk").first()
            )
            if first != user:
                transaction.set_rollback(True)
                raise Http404
        login(self.request, user, backend="django.contrib.auth.backends.ModelBackend")
        return super().form_valid(form)
