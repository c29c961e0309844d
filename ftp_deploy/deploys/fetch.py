"""Fetching the tree that a deploy is to put live."""

from ftp_deploy.conf import conf
from ftp_deploy.deploys.recorder import Recorder
from ftp_deploy.deploys.source import git_source
from ftp_deploy.exceptions import CommitMissing
from ftp_deploy.models import Deploy, Service, ServiceManifest
from ftp_deploy.repository import git
from ftp_deploy.repository.snapshot import Snapshot


def fetch_service(service: Service, commit: str = "") -> Snapshot:
    """Fetch a commit of the service's branch, or the branch's head. Use as a context manager."""
    return git.fetch(git_source(service), service.branch, commit, folder=conf.SPOOL_DIRECTORY or None)


def wanted_commit(deploy: Deploy) -> str:
    """Return the commit to ask for; empty for the head of the branch.

    A push that does not follow on the newest known one may be older than what is live, or newer than pushes that we
    never heard of. The head of the branch is right in both cases.
    """
    return "" if deploy.order_unknown else deploy.after


def is_outdated(recorder: Recorder, snapshot: Snapshot) -> bool:
    """Say whether the deploy must not run because what is live is newer; log when another commit goes live.

    Raises ``CommitMissing`` where exactly one commit was asked for and the forge does not give it out.
    """
    deploy = recorder.deploy
    if deploy.order_unknown and snapshot.commit != deploy.after and snapshot.commit == live_commit(deploy.service_id):
        recorder.log(f"The branch is at {snapshot.commit[:12]}, which is live already: nothing to do.")
        return True
    if not snapshot.exact and deploy.kind == Deploy.Kind.ROLLBACK:
        raise CommitMissing(
            f"The forge does not give out commit {deploy.after[:12]}.",
            advice="Push a branch that holds this commit, or choose another commit.",
        )
    if deploy.after and snapshot.commit != deploy.after:
        recorder.warn(f"The branch's head {snapshot.commit[:12]} goes live instead of {deploy.after[:12]}.")
    return False


def live_commit(service_id: int) -> str:
    """Return the commit that is live as a whole; empty where none is."""
    stored = ServiceManifest.objects.filter(service=service_id).values_list("commit", flat=True).first()
    return stored or ""
