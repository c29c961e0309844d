"""The story of a deploy: claim, fetch, plan, transfer, finish."""

import logging

from ftp_deploy.conf import conf
from ftp_deploy.deploys import outcome
from ftp_deploy.deploys.aftercare import clean_up
from ftp_deploy.deploys.aftermath import after_switch, go_back
from ftp_deploy.deploys.fetch import fetch_service, is_outdated, wanted_commit
from ftp_deploy.deploys.lease import DATABASE_AWAY, Lease, StopAsked, claim, never
from ftp_deploy.deploys.pick import take_next
from ftp_deploy.deploys.recorder import Recorder
from ftp_deploy.deploys.sweep import is_due, sweep_if_late
from ftp_deploy.deploys.transfer import transfer
from ftp_deploy.deploys.waiting import wait_for
from ftp_deploy.deploys.wakeup import send, wake
from ftp_deploy.exceptions import (
    DatabaseAway,
    DeployCancelled,
    FTPDeployError,
    LeaseLost,
    StorageFull,
    WorkerDiskFull,
    WorkerStopping,
)
from ftp_deploy.models import Deploy
from ftp_deploy.repository.snapshot import Snapshot

logger = logging.getLogger(__name__)


def run_service(service_id: int, stop_asked: StopAsked = never, patience: float = 0.0) -> int:
    """Deploy what waits for a service, in order, until nothing is due; return how many runs that took.

    Nothing happens where another worker holds the service. ``stop_asked`` is looked at between and during runs; files
    that are under way then have ``patience`` seconds to be finished. Most messages of a burst come when all is done: a
    look costs a tenth of a claim.
    """
    if is_due(service_id) is None:
        return 0
    lease = claim(service_id, stop_asked, patience)
    if lease is None:
        return 0
    runs = 0
    try:
        with lease:
            while not stop_asked() and (deploy := take_next(lease)) is not None:
                run_deploy(lease, deploy)
                runs += 1
    except LeaseLost:
        logger.warning("Service %s: another worker goes on.", service_id)
    except DATABASE_AWAY as error:
        logger.warning("Service %s: left to the sweep, the database is away: %s", service_id, type(error).__name__)
        return runs
    _wake_for_late_arrivals(service_id)
    if runs:
        sweep_if_late()
    return runs


def run_deploy(lease: Lease, deploy: Deploy) -> None:
    """Run one deploy to an outcome.

    Raises ``LeaseLost``, and what the database raises where it takes not even the outcome.
    """
    lease.new_deploy()
    recorder = Recorder(deploy, lease)
    if conf.COMMIT_STATUS:
        send("ftp_deploy.notify", deploy.pk)
    try:
        _put_live(recorder)
    except LeaseLost:
        raise
    except DeployCancelled:
        lease.persist(recorder.flush)
        clean_up(recorder)
        lease.persist(lambda: outcome.cancelled(lease, deploy))
    except WorkerStopping:
        recorder.log("The worker is shutting down; another one goes on.")
        lease.persist(recorder.flush)
        lease.persist(lambda: outcome.hand_back(lease, deploy))
    except DATABASE_AWAY as error:
        logger.warning("Deploy %s: the database was away: %s", deploy.pk, type(error).__name__)
        if lease.is_forgiven():
            lease.persist(recorder.flush)
            lease.persist(lambda: outcome.hand_back(lease, deploy))
        else:
            _fail(recorder, DatabaseAway())
    except FTPDeployError as error:
        _fail(recorder, error)
    except Exception as error:
        if WorkerDiskFull.explains(error):
            _fail(recorder, WorkerDiskFull())
            return
        logger.exception("Deploy %s failed in an unforeseen way.", deploy.pk)
        _fail(recorder, FTPDeployError(f"Unforeseen error: {type(error).__name__}.", advice=UNFORESEEN))


UNFORESEEN = "The worker's log has the details. Please report this."


def _put_live(recorder: Recorder) -> None:
    deploy = recorder.deploy
    service = deploy.service
    recorder.enter(Deploy.Phase.FETCHING)
    commit = wanted_commit(deploy)
    with wait_for(lambda: fetch_service(service, commit), recorder.guard, Snapshot.close) as snapshot:
        recorder.log(f"Fetched {service.branch} at {snapshot.commit[:12]}: {len(snapshot.tree)} files.")
        if is_outdated(recorder, snapshot):
            recorder.lease.persist(recorder.flush)
            recorder.lease.persist(lambda: outcome.superseded(recorder.lease, deploy))
            return
        transfer(recorder, service, snapshot)
    recorder.log(f"{snapshot.commit[:12]} is live.")
    after_switch(recorder, service)
    recorder.finish()
    recorder.lease.persist(lambda: outcome.succeeded(recorder.lease, deploy, snapshot.commit))
    go_back(recorder, service)


def _fail(recorder: Recorder, error: FTPDeployError) -> None:
    recorder.log(" ".join(filter(None, (error.message, error.advice))), "error")
    recorder.lease.persist(recorder.flush)
    if isinstance(error, StorageFull):
        clean_up(recorder)
    recorder.lease.persist(lambda: outcome.failed(recorder.lease, recorder.deploy, error))


def _wake_for_late_arrivals(service_id: int) -> None:
    """Wake again for a push whose own message came while the lease was held and was let go unheard."""
    service = is_due(service_id)
    if service is not None:
        wake(service)
