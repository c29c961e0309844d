"""Addresses of this site's own pages, for mails, channels and forges."""

from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.urls import NoReverseMatch, get_script_prefix, reverse

from ftp_deploy.conf import conf
from ftp_deploy.models import Deploy, Service

LOCAL = "localhost"
UNSET_DOMAIN = "example.com"
"""What ``django.contrib.sites`` puts there until somebody enters the real one."""


def site_root() -> str:
    """Return the public address of this site without a slash at its end; empty where nobody told it.

    ``FTP_DEPLOY_BASE_URL`` says it; else the domain of ``django.contrib.sites`` where that app is installed.
    """
    if conf.BASE_URL:
        return conf.BASE_URL.rstrip("/")
    if apps.is_installed("django.contrib.sites") and getattr(settings, "SITE_ID", None):
        from django.contrib.sites.models import Site

        site = Site.objects.filter(pk=settings.SITE_ID).first()
        if site is not None and site.domain not in ("", UNSET_DOMAIN):
            return f"https://{site.domain}"
    return ""


def host() -> str:
    """Return the host of this site, with its port; ``localhost`` where nobody told it."""
    return urlsplit(site_root()).netloc or LOCAL


def deploy_url(deploy: Deploy) -> str:
    """Return the address of a deploy's page: on the dashboard, else in the admin; empty without either."""
    return _page(("ftpdeploy_deploy_detail", "admin:ftp_deploy_deploy_change"), deploy.pk)


def service_url(service: Service) -> str:
    """Return the address of a service's page: on the dashboard, else in the admin; empty without either."""
    return _page(("ftpdeploy_service_manage", "admin:ftp_deploy_service_change"), service.pk)


def public(path: str) -> str:
    """Return the public address of a path as ``reverse`` gives it; empty where nobody told where this site is.

    Under a path (``FORCE_SCRIPT_NAME``) the path counts once, whether the site's address names it or not, and whether
    this thread knows it or not: Django keeps it for each thread, and a worker's have served no request.
    """
    root = site_root()
    if not root:
        return ""
    mounted = (settings.FORCE_SCRIPT_NAME or "").rstrip("/")
    known = get_script_prefix().rstrip("/") == mounted
    return root.removesuffix(mounted) + mounted + (path.removeprefix(mounted) if known else path)


def _page(names: tuple[str, ...], key: int) -> str:
    for name in names:
        try:
            return public(reverse(name, args=[key]))
        except NoReverseMatch:
            continue
    return ""
