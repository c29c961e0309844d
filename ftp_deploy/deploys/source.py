"""Where a service's tree comes from: its provider's git address with the settings in force."""

from ftp_deploy.conf import conf
from ftp_deploy.models import Service
from ftp_deploy.repository.git import GitSource


def git_source(service: Service) -> GitSource:
    """Return how to fetch the repository of a service."""
    access = service.forge().git_access(service.repository_slug)
    return GitSource(
        url=access.url,
        username=access.username,
        password=access.password,
        private_key=access.private_key,
        connect_timeout=conf.CONNECT_TIMEOUT,
        reply_timeout=conf.REPLY_TIMEOUT,
        allow_private_addresses=may_be_private(service.provider, has_account=service.account_id is not None),
    )


def may_be_private(provider: str, *, has_account: bool) -> bool:
    """Say whether a repository's host may be a private address.

    A forge in the project's settings is the administrator's own choice. Addresses that people enter, as the URL of a
    plain git repository or of an account, need ``FTP_DEPLOY_ALLOW_PRIVATE_ADDRESSES``.
    """
    return conf.ALLOW_PRIVATE_ADDRESSES or (not has_account and provider != "git")
