"""The webhook of a service on its forge: its address, and adding, renewing and removing it.

A hook is known as the service's own by the security key in its address, whoever made it: one that a person added by
hand is found and used, and what the person chose beside address and secret stays.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.views.decorators.debug import sensitive_variables

from ftp_deploy.exceptions import ApiError, ConfigurationError
from ftp_deploy.links import public
from ftp_deploy.models import Service
from ftp_deploy.models.service import new_secret_key
from ftp_deploy.providers.base import Hook, Provider


def hook_url(service: Service, request: HttpRequest | None = None) -> str:
    """Return the public address that the forge calls.

    The settings say where this site is; where they do not, the request does. Empty where neither tells, or where the
    project has not mounted ``ftp_deploy.urls``.
    """
    return address_of(service.secret_key, request)


def address_of(secret_key: str, request: HttpRequest | None = None) -> str:
    """Return the address for a security key; see ``hook_url``."""
    try:
        path = reverse("ftpdeploy_deploy", args=[secret_key])
    except NoReverseMatch:
        return ""
    return public(path) or (request.build_absolute_uri(path) if request else "")


def find_hook(hooks: Sequence[Hook], secret_key: str) -> Hook | None:
    """Return the hook whose address ends in this security key; an active one before others."""
    mine = [hook for hook in hooks if urlsplit(hook.url).path.rstrip("/").rpartition("/")[2] == secret_key]
    return next((hook for hook in mine if hook.active), mine[0] if mine else None)


@sensitive_variables()
def install_hook(service: Service, request: HttpRequest | None = None) -> Hook:
    """Add the hook to the repository, or set right the one that is there, and return it.

    Raises ``ApiError`` where the forge refuses, ``ConfigurationError`` where this site's address is not known.
    """
    forge = service.forge()
    url = needed_address(service.secret_key, request)
    repository = service.repository_slug
    found = find_hook(forge.hooks(repository), service.secret_key)
    if found:
        hook = forge.update_hook(repository, found.id, url, service.hook_secret)
    else:
        hook = forge.add_hook(repository, url, service.hook_secret)
    remember(service, hook.id)
    return hook


def remove_hook(service: Service) -> bool:
    """Remove the service's hook from the repository; return whether there was one. Raises ``ApiError``."""
    forge = service.forge()
    found = find_hook(forge.hooks(service.repository_slug), service.secret_key)
    if found:
        forge.remove_hook(service.repository_slug, found.id)
    remember(service, "")
    return found is not None


@sensitive_variables()
def renew_keys(service: Service, request: HttpRequest | None = None) -> bool:
    """Give the service a new security key and hook secret, and the hook on the forge with them.

    Returns whether a hook was changed; without one it has to be added again. Where the forge refuses (``ApiError``)
    nothing is changed.
    """
    secret_key, hook_secret = new_secret_key(), new_secret_key()
    forge = service.forge()
    found = hook_on(forge, service)
    if found:
        url = needed_address(secret_key, request)
        forge.update_hook(service.repository_slug, found.id, url, hook_secret)
    service.secret_key, service.hook_secret = secret_key, hook_secret
    service.save(update_fields=["secret_key", "hook_secret"])
    return found is not None


def hook_on(forge: Provider, service: Service) -> Hook | None:
    """Return the service's hook on its forge, None where there is none or the forge has no API."""
    if not forge.has_api:
        return None
    try:
        return find_hook(forge.hooks(service.repository_slug), service.secret_key)
    except ApiError as error:
        if error.status == 404:
            return None
        raise


def needed_address(secret_key: str, request: HttpRequest | None) -> str:
    """Return the hook's address. Raises ``ConfigurationError`` where it is not known."""
    url = address_of(secret_key, request)
    if not url:
        raise ConfigurationError(
            "The address that the forge should call is not known.",
            advice="Set FTP_DEPLOY_BASE_URL to this site's public address.",
        )
    return url


def remember(service: Service, hook_id: str) -> None:
    """Store which hook is the service's."""
    service.hook_id = hook_id[:100]
    Service.objects.filter(pk=service.pk).update(hook_id=service.hook_id)
