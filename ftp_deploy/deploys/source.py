"""Where a service's tree comes from: its provider's git address with the settings in force."""

from ftp_deploy.conf import conf
from ftp_deploy.models import Service
from ftp_deploy.providers.base import Provider
from ftp_deploy.repository.git import GitSource


def git_source(service: Service) -> GitSource:
    """Return how to fetch the repository of a service."""
    return source_of(
        service.forge(),
        service.repository_slug,
        has_account=service.account_id is not None,
        fingerprint=service.repository_fingerprint,
    )


def source_of(forge: Provider, repository: str, *, has_account: bool, fingerprint: str = "") -> GitSource:
    """Return how to fetch a repository of a forge; ``fingerprint`` is that of the accepted SSH host key."""
    access = forge.git_access(repository)
    return GitSource(
        url=access.url,
        username=access.username,
        password=access.password,
        private_key=access.private_key,
        passphrase=access.passphrase,
        fingerprint=fingerprint,
        connect_timeout=conf.CONNECT_TIMEOUT,
        reply_timeout=conf.REPLY_TIMEOUT,
        allow_private_addresses=may_be_private(forge.name, has_account=has_account),
    )


def may_be_private(provider: str, *, has_account: bool) -> bool:
    """Say whether a repository's host may be a private address.

    A forge in the project's settings is the administrator's own choice. Addresses that people enter, as the URL of a
    plain git repository or of an account, need ``FTP_DEPLOY_ALLOW_PRIVATE_ADDRESSES``.
    """
    return conf.ALLOW_PRIVATE_ADDRESSES or (not has_account and provider != "git")
