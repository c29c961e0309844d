"""The hook of a service on its forge, as the dashboard asks for it."""

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from ftp_deploy.conf import conf
from ftp_deploy.models import Service
from ftp_deploy.providers.base import Hook


def hook_url(service: Service, request: HttpRequest | None = None) -> str:
    """Return the public address that the forge calls, empty where the project has not mounted it."""
    try:
        path = reverse("ftpdeploy_deploy", args=[service.secret_key])
    except NoReverseMatch:
        return ""
    if conf.BASE_URL:
        return conf.BASE_URL.rstrip("/") + path
    return request.build_absolute_uri(path) if request else path


def install_hook(service: Service, request: HttpRequest) -> Hook:
    """Add the hook to the repository, or mend the one that is there. Raises ``ApiError`` where the forge refuses."""
    forge = service.forge()
    url = hook_url(service, request)
    repository = service.repository_slug
    known = next((hook for hook in forge.hooks(repository) if service.secret_key in hook.url), None)
    if known:
        hook = forge.update_hook(repository, known.id, url, service.hook_secret)
    else:
        hook = forge.add_hook(repository, url, service.hook_secret)
    Service.objects.filter(pk=service.pk).update(hook_id=hook.id)
    return hook
