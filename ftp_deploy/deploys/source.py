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
    )
