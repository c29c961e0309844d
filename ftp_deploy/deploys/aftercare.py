"""Taking back what an unfinished deploy left on the server."""

import logging

from ftp_deploy.deploys.journal import disown, left_behind, release
from ftp_deploy.deploys.manifest import parents_of
from ftp_deploy.deploys.recorder import Recorder
from ftp_deploy.exceptions import TransportError
from ftp_deploy.models import Service

logger = logging.getLogger(__name__)


def clean_up(recorder: Recorder) -> None:
    """Remove the temporary files of a deploy, and the directories made for them.

    A server that is away keeps them for now: the journal still names them, and the next deploy removes them.
    """
    deploy = recorder.deploy
    service = Service.objects.get(pk=deploy.service_id)
    rows = [row for row in left_behind(service.pk) if row.deploy_id == deploy.pk]
    if not rows:
        return
    try:
        with service.transport() as transport:
            disown([row.temporary_path for row in rows])
            for _progress in transport.delete([row.temporary_path for row in rows], recorder.lease.must_hold):
                recorder.flush_if_due()
            made = parents_of({row.path for row in rows}) - service.manifest.directories
            transport.prune(sorted(made, key=lambda path: path.count("/"), reverse=True))
    except TransportError as error:
        logger.warning("Deploy %s: temporary files are left for the next deploy: %s", deploy.pk, error)
        return
    release(rows)
