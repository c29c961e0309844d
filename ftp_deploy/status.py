"""The progress of a service in a few numbers: what a progress bar needs."""

from typing import Any

from ftp_deploy.models import Deploy, Service

IDLE = "idle"


def status_of(service: Service) -> dict[str, Any]:
    """Return state, phase, files, bytes, current file and queue length of a service, ready for JSON.

    The deploy that runs is the one shown; without one the next that waits; without any the last one of all. ``queue``
    counts the deploys that wait behind it.
    """
    unfinished = Deploy.objects.filter(service=service).unfinished()
    shown = (
        unfinished.filter(state=Deploy.State.RUNNING).first()
        or unfinished.in_order().first()
        or Deploy.objects.filter(service=service).first()
    )
    waiting = unfinished.filter(state=Deploy.State.QUEUED)
    if shown is None:
        return {"deploy": None, "state": IDLE, "phase": "", "queue": 0, **progress_of(Deploy())}
    return {
        "deploy": shown.pk,
        "state": shown.state,
        "phase": shown.phase,
        "queue": waiting.exclude(pk=shown.pk).count(),
        **progress_of(shown),
    }


def progress_of(deploy: Deploy) -> dict[str, Any]:
    """Return how far a deploy came: files and bytes done and in total, and the file that is being sent."""
    return {
        "files_done": deploy.files_done,
        "files_total": deploy.files_total,
        "bytes_done": deploy.bytes_done,
        "bytes_total": deploy.bytes_total,
        "current_file": deploy.current_file,
    }
