"""``deploy``, ``rollback``, ``restore`` and ``skip``."""

from argparse import Namespace
from collections.abc import Callable
from typing import TextIO

from django.core.management.base import CommandError

from ftp_deploy.deploys import queue, restore
from ftp_deploy.deploys.restore import Preview
from ftp_deploy.management.following import follow, outcome_words, run_here
from ftp_deploy.management.services import WRONG_USE, find_commit, find_service
from ftp_deploy.models import Deploy, Service

LISTED = 50
"""Files of each kind that a preview lists, unless all are asked for."""


def deploy(options: Namespace, out: TextIO) -> int:
    """Deploy the head of a service's branch; ``--full`` uploads every file again."""
    service = find_service(options.service)
    look = restore.preview_full if options.full else restore.preview
    return _go(options, out, service, look, lambda: queue.deploy_now(service, full=options.full))


def rollback(options: Namespace, out: TextIO) -> int:
    """Put an earlier commit live again."""
    service = find_service(options.service)
    commit = find_commit(service, options.commit)
    return _go(
        options,
        out,
        service,
        lambda each: restore.preview_rollback(each, commit),
        lambda: restore.roll_back(service, commit),
    )


def restore_failed(options: Namespace, out: TextIO) -> int:
    """Deploy the newest failed push, with everything before it."""
    service = find_service(options.service)
    return _go(options, out, service, restore.preview_restore, lambda: restore.restore(service))


def skip(options: Namespace, out: TextIO) -> int:
    """Accept the server's state for failed deploys: the ones with the given numbers, or all."""
    service = find_service(options.service)
    failed = list(restore.restorable(service))
    numbers = {deploy.pk for deploy in failed} if options.all else set(options.number)
    strangers = numbers - {deploy.pk for deploy in failed}
    if strangers or not numbers:
        listed = ", ".join(f"{deploy.pk} ({deploy})" for deploy in failed) or "none"
        wrong = f"{sorted(strangers)} did not fail." if strangers else "Say which deploys, or --all."
        raise CommandError(f"{wrong} Failed deploys of {service}: {listed}", returncode=WRONG_USE)
    for each in failed:
        if each.pk in numbers:
            restore.skip(each)
            out.write(f"{each}: skipped.\n")
    return 0


def _go(
    options: Namespace,
    out: TextIO,
    service: Service,
    look: Callable[[Service], Preview],
    begin: Callable[[], Deploy],
) -> int:
    """Show what would be done, or do it; return the exit status."""
    if options.dry_run:
        show(look(service), out, LISTED if not options.all_files else None)
        return 0
    made = begin()
    out.write(f"{service}: deploy #{made.pk} waits for its turn.\n")
    if options.no_wait:
        return 0
    ended = run_here(made, out, options.timeout) if options.here else follow(made, out, options.timeout)
    out.write(f"{outcome_words(ended)}\n")
    return 0 if ended.state == Deploy.State.SUCCEEDED and ended.healthy is not False else 1


def show(preview: Preview, out: TextIO, most: int | None) -> None:
    """Write what a deploy would do."""
    out.write(f"Commit {preview.commit or 'unknown'}\n")
    for commit in preview.commits:
        message = commit.get("message", "").partition("\n")[0]
        out.write(f"  {commit.get('id', '')[:12]} {commit.get('author_name', '')}: {message}\n")
    for mark, word, paths in (
        ("+", "new", preview.added),
        ("~", "modified", preview.modified),
        ("-", "removed", preview.removed),
        ("!", "left as they are", preview.left_out),
    ):
        out.write(f"{len(paths)} {word}\n")
        for path in paths[:most]:
            out.write(f"  {mark} {path}\n")
        if most is not None and len(paths) > most:
            out.write(f"  and {len(paths) - most} more (--all-files lists them)\n")
    for warning in preview.warnings:
        out.write(f"Warning: {warning}\n")
