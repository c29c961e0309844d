"""``manage.py ftp_deploy``: everything that the dashboard does, for terminals, scripts and cron.

Exit status: 0 done; 1 what was asked for failed, or something is wrong; 2 the command line is wrong.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ftp_deploy.exceptions import FTPDeployError
from ftp_deploy.management import checking, deploying, migrating, upkeep

Handler = Callable[[Namespace, TextIO], int]


class Command(BaseCommand):
    """The sub-commands; each is a function of ``ftp_deploy.management``."""

    help = "Deploy, restore and check services."

    def add_arguments(self, parser: CommandParser) -> None:
        """Describe the sub-commands."""
        commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

        def add(name: str, handler: Handler, words: str, *, service: bool = False) -> ArgumentParser:
            made: ArgumentParser = commands.add_parser(name, help=words, description=words)
            made.set_defaults(handler=handler)
            if service:
                made.add_argument("service", metavar="SERVICE", help="number, repository slug or name; slug:branch")
            return made

        _add_deploying(add)
        _add_others(add)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one sub-command and leave with its status."""
        handler: Handler = options["handler"]
        try:
            status = handler(Namespace(**options), self.stdout)  # type: ignore[arg-type]
        except FTPDeployError as error:
            raise CommandError(f"{error.message} {error.advice}".rstrip()) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped waiting; what was asked for goes on without you.", returncode=130) from None
        if status:
            sys.exit(status)


def _add_deploying(add: Callable[..., ArgumentParser]) -> None:
    deploy = add("deploy", deploying.deploy, "deploy the head of the branch", service=True)
    deploy.add_argument("--full", action="store_true", help="upload every file again")
    rollback = add("rollback", deploying.rollback, "put an earlier commit live again", service=True)
    rollback.add_argument("commit", metavar="COMMIT", help="its id, or the first letters of a deployed one")
    restore = add("restore", deploying.restore_failed, "deploy what failed", service=True)
    for parser in (deploy, rollback, restore):
        parser.add_argument("--dry-run", action="store_true", help="only show what would be done")
        parser.add_argument("--all-files", action="store_true", help="with --dry-run: list every file")
        where = parser.add_mutually_exclusive_group()
        where.add_argument("--here", action="store_true", help="run in this process instead of waiting for a worker")
        where.add_argument("--no-wait", action="store_true", help="leave as soon as the deploy is in the queue")
        parser.add_argument("--timeout", type=float, metavar="SECONDS", help="wait that long at most")
    skip = add("skip", deploying.skip, "accept the server's state for failed deploys", service=True)
    skip.add_argument("number", type=int, nargs="*", metavar="DEPLOY", help="numbers of failed deploys")
    skip.add_argument("--all", action="store_true", help="all failed deploys of the service")


def _add_others(add: Callable[..., ArgumentParser]) -> None:
    check = add("check", checking.check, "check services: server, login, path, repository, branch, hook")
    check.add_argument("service", metavar="SERVICE", nargs="*", help="default: all enabled services")
    add("verify", checking.verify, "compare the server with what was put there", service=True)
    add("sweep", upkeep.sweep_now, "wake what waits, send what waits")
    prune = add("prune", upkeep.prune, "delete file lists, logs and messages of old deploys")
    prune.add_argument("--days", type=int, help="older than that; default: FTP_DEPLOY_CHANGE_RETENTION_DAYS")
    old = add("migrate-from-2", migrating.migrate_from_2, "bring services, logs and notifications of a 2.x site over")
    old.add_argument("--database", default="default", metavar="ALIAS", help="where the old tables are")
    old.add_argument("--sqlite", default="", metavar="FILE", help="the old database, where it is a SQLite file")
    old.add_argument("--prefix", default="", help="of the old tables, where they were renamed, such as old_")
    old.add_argument("--owner", default="", help="of the repositories; default: the forge's account in the settings")
    old.add_argument("--dry-run", action="store_true", help="only count")
    add("rotate-keys", upkeep.rotate_keys, "encrypt every secret again with the first key")
