"""The commits of a push that its webhook told only in part: asked of the forge's API, for people to read."""

import logging

from ftp_deploy.deploys.append import commit_as_json
from ftp_deploy.exceptions import FTPDeployError
from ftp_deploy.models import Deploy
from ftp_deploy.providers.rest import COMMIT_LIMIT

logger = logging.getLogger(__name__)


def fill_up(deploy: Deploy) -> bool:
    """Store the whole list of a push whose list was cut; return whether it is whole now.

    Nothing depends on it but what people read and who is told: where the forge refuses, the short list stays.
    """
    if deploy.commits_complete or deploy.kind != Deploy.Kind.PUSH or not deploy.after:
        return deploy.commits_complete
    service = deploy.service
    try:
        forge = service.forge()
        found = forge.commits(service.repository_slug, deploy.before, deploy.after) if forge.has_api else ()
    except FTPDeployError as error:
        logger.info("Deploy %s keeps its short list of commits: %s", deploy.pk, error)
        return False
    # An answer that ends elsewhere, or is shorter, is not the list of this push.
    if not found or found[-1].id != deploy.after or len(found) < len(deploy.commits):
        return False
    deploy.commits = [commit_as_json(commit) for commit in found]
    deploy.commits_complete = len(found) < COMMIT_LIMIT
    deploy.save(update_fields=["commits", "commits_complete"])
    return deploy.commits_complete
