"""Showing a deploy on a terminal until it ends, or running it in this very process."""

import shutil
import time
from typing import TextIO

from django.db import connection

from ftp_deploy.deploys.runner import run_service
from ftp_deploy.models import Deploy

POLL_SECONDS = 0.3
PATIENCE_SECONDS = 20.0
"""After that long without a worker a hint is shown."""
HINT = (
    "No worker has taken the deploy yet. Start one (celery -A ftp_deploy worker -B), "
    "or stop waiting with Ctrl-C and run it in this process with --here."
)


def follow(deploy: Deploy, out: TextIO, seconds: float | None = None) -> Deploy:
    """Wait until a deploy has ended and return it; a bar on a terminal, a line for each phase elsewhere.

    ``seconds`` bounds the waiting; the deploy is then returned as it stands.
    """
    began = time.monotonic()
    shown, hinted = "", False
    while True:
        deploy.refresh_from_db()
        shown = _show(deploy, out, shown)
        if deploy.is_final or (seconds is not None and time.monotonic() - began > seconds):
            _end_line(out)
            return deploy
        if not hinted and deploy.state == Deploy.State.QUEUED and time.monotonic() - began > PATIENCE_SECONDS:
            _end_line(out)
            out.write(f"{HINT}\n")
            hinted = True
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        time.sleep(POLL_SECONDS)


def run_here(deploy: Deploy, out: TextIO, seconds: float | None = None) -> Deploy:
    """Run what waits for the deploy's service in this process, under the service's lease, and return the deploy.

    Where a worker holds the service already, that worker is followed, for at most ``seconds``.
    """
    run_service(deploy.service_id)
    deploy.refresh_from_db()
    if not deploy.is_final and (deploy.next_attempt_at is None or deploy.state == Deploy.State.RUNNING):
        return follow(deploy, out, seconds)
    for line in deploy.log_lines.all():
        out.write(f"{line.at:%H:%M:%S} {line.text}\n")
    return deploy


def _show(deploy: Deploy, out: TextIO, shown: str) -> str:
    words = bar(deploy) if out.isatty() else str(deploy.get_phase_display() if deploy.started_at else "")
    if words and words != shown:
        out.write(f"\r{words}" if out.isatty() else f"{words}\n")
        out.flush()
    return words


def _end_line(out: TextIO) -> None:
    if out.isatty():
        out.write("\n")


def bar(deploy: Deploy, width: int | None = None) -> str:
    """Return one line about a deploy: phase, a bar by bytes, counts, the current file; exactly ``width`` long."""
    width = width or shutil.get_terminal_size().columns - 1
    share = deploy.bytes_done / deploy.bytes_total if deploy.bytes_total else 0.0
    filled = round(20 * min(share, 1.0))
    state = deploy.get_phase_display() if deploy.state == Deploy.State.RUNNING else deploy.get_state_display()
    line = (
        f"{state:<10} [{'#' * filled}{'.' * (20 - filled)}] {deploy.files_done}/{deploy.files_total} files, "
        f"{megabytes(deploy.bytes_done)}/{megabytes(deploy.bytes_total)} MB {deploy.current_file}"
    )
    printable = "".join(letter if letter.isprintable() else "?" for letter in line)
    return printable[:width].ljust(width)


def megabytes(size: int) -> str:
    """Return a size in bytes as megabytes with one digit."""
    return f"{size / 1_000_000:.1f}"


def outcome_words(deploy: Deploy) -> str:
    """Return what became of a deploy, in words with what to do next."""
    commit = (deploy.commit or deploy.after)[:12]
    files = f"+{deploy.files_added} ~{deploy.files_modified} -{deploy.files_removed}"
    if deploy.state == Deploy.State.SUCCEEDED:
        took = f" in {deploy.duration.total_seconds():.1f} s" if deploy.duration is not None else ""
        words = f"Deploy #{deploy.pk}: {commit} is live ({files}){took}."
    else:
        words = f"Deploy #{deploy.pk}: {deploy.get_state_display()}."
    return " ".join(filter(None, (words, deploy.error, deploy.advice)))
