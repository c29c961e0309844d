"""The ``ftp-deploy`` command: the whole app without a Django project of one's own."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ftp_deploy import __version__
from ftp_deploy.standalone.processes import die_with_parent

Handler = Callable[[argparse.Namespace], int | None]

SERVICE_COMMANDS = {
    "deploy": "deploy the head of the branch",
    "rollback": "put an earlier commit live again",
    "restore": "deploy what failed",
    "skip": "accept the server's state for failed deploys",
    "check": "check services: server, login, path, repository, branch, hook",
    "verify": "compare the server with what was put there",
    "sweep": "wake what waits, send what waits",
    "prune": "delete file lists, logs and messages of old deploys",
    "migrate-from-2": "bring services, logs and notifications of a 2.x site over",
    "rotate-keys": "encrypt every secret again with the first key",
}
"""The sub-commands of ``manage.py ftp_deploy``, which are ours as well: they are listed without loading Django."""

DESCRIPTION = "A push to a git repository goes live on an FTP or SFTP server."


def start_django() -> None:
    """Load the settings of the ready project; ``DJANGO_SETTINGS_MODULE`` may name another."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ftp_deploy.standalone.settings")
    django.setup()


def run_serve(options: argparse.Namespace) -> None:
    """``ftp-deploy serve``."""
    from ftp_deploy.standalone.serve import serve

    serve(options)


def run_web(options: argparse.Namespace) -> None:
    """``ftp-deploy web``."""
    from ftp_deploy.standalone.serve import web

    web(options)


def run_worker(options: argparse.Namespace) -> None:
    """``ftp-deploy worker``."""
    from ftp_deploy.standalone.serve import worker

    worker(options)


def run_migrate(options: argparse.Namespace) -> None:
    """``ftp-deploy migrate``."""
    from ftp_deploy.standalone.serve import migrate

    migrate()
    print("The database is up to date.")


def run_setup_link(options: argparse.Namespace) -> int:
    """``ftp-deploy setup-link``."""
    from ftp_deploy.standalone.serve import address
    from ftp_deploy.standalone.setup import needs_first_account, setup_path

    if not needs_first_account():
        print("There is an account already. `ftp-deploy manage changepassword NAME` sets a new password.")
        return 1
    print(address(options.host, options.port, setup_path()))
    return 0


def run_doctor(options: argparse.Namespace) -> int:
    """``ftp-deploy doctor``."""
    from ftp_deploy.standalone.doctor import report

    return report()


def run_backup(options: argparse.Namespace) -> None:
    """``ftp-deploy backup``."""
    from ftp_deploy.standalone.backup import write_backup

    print(f"Written: {write_backup(options.file)}")


def run_demo(options: argparse.Namespace) -> int:
    """``ftp-deploy demo``: has settings of its own, so Django is started inside."""
    from ftp_deploy.standalone.demo.command import main as demo

    return demo(options)


def run_manage(options: argparse.Namespace) -> None:
    """``ftp-deploy manage``: any management command."""
    from django.core.management import ManagementUtility

    utility = ManagementUtility(["ftp-deploy manage", *options.arguments])
    utility.prog_name = "ftp-deploy manage"
    utility.execute()


def run_service_command(options: argparse.Namespace) -> None:
    """``ftp-deploy deploy`` and its like: the sub-commands of the management command ``ftp_deploy``."""
    from ftp_deploy.management.commands.ftp_deploy import Command

    Command().run_from_argv(["ftp-deploy", "", options.name, *options.arguments])


def add_web_options(parser: argparse.ArgumentParser) -> None:
    """Add where the site is served."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=8, help="requests at the same time (default: %(default)s)")


def add_worker_options(parser: argparse.ArgumentParser) -> None:
    """Add how much is deployed at the same time."""
    parser.add_argument("--concurrency", type=int, default=4, help="deploys at the same time (default: %(default)s)")


def build_parser() -> argparse.ArgumentParser:
    """Return the command line's grammar; each sub-command's ``handler`` runs it."""
    parser = argparse.ArgumentParser(prog="ftp-deploy", description=DESCRIPTION)
    parser.add_argument(
        "--folder", type=Path, help="the data folder (default: DATA_FOLDER, else ~/.local/share/ftp-deploy)"
    )
    parser.add_argument("--version", action="version", version=f"django-ftp-deploy {__version__}")
    parser.set_defaults(handler=None, django=False)
    commands = parser.add_subparsers(metavar="COMMAND")

    def command(name: str, handler: Handler, text: str, *, django: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(handler=handler, django=django)
        return added

    serve = command("serve", run_serve, "migrate, then run web server and worker together")
    add_web_options(serve)
    add_worker_options(serve)
    add_web_options(command("web", run_web, "run the web server alone"))
    worker = command("worker", run_worker, "run a worker alone")
    add_worker_options(worker)
    worker.add_argument("--queues", default="", help="comma-separated queues (default: the default queue)")
    worker.add_argument("--name", default="", help="a name, where several workers run on one machine")
    worker.add_argument("--no-beat", action="store_true", help="leave periodic work to another worker")
    command("migrate", run_migrate, "bring the database up to this version")
    add_web_options(command("setup-link", run_setup_link, "print the link that makes the first account"))
    command("doctor", run_doctor, "say what is wrong with this installation")
    backup = command("backup", run_backup, "write database, keys and settings into one archive")
    backup.add_argument("file", type=Path, help="the archive to write, such as ftp-deploy.tar.gz")
    manage = command("manage", run_manage, "run any management command, such as: manage createsuperuser")
    manage.add_argument("arguments", nargs=argparse.REMAINDER, help="the command and its options")
    for name, words in SERVICE_COMMANDS.items():
        # No option is ours here, not even --help: all go to the management command.
        work = commands.add_parser(name, help=words, add_help=False, prefix_chars="\0")
        work.set_defaults(handler=run_service_command, django=True, name=name)
        work.add_argument("arguments", nargs="*")
    demo = command("demo", run_demo, "see it work: forge, FTP server, web and worker on this machine", django=False)
    demo.add_argument("--once", action="store_true", help="check the whole way, then stop; the exit status tells")
    demo.add_argument("--repo", default="", help="a repository of yours: a path or an address")
    demo.add_argument("--folder", type=Path, help="where the demo keeps its files (default: a temporary folder)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status: 0 for success."""
    die_with_parent()
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.handler is None:
        parser.print_help(sys.stderr)
        return 2
    if options.django and options.folder:
        os.environ["DATA_FOLDER"] = str(options.folder.expanduser().absolute())
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management.base import CommandError
    from django.db import DatabaseError

    try:
        if options.django:
            start_django()
        return options.handler(options) or 0
    except (ImproperlyConfigured, CommandError) as error:
        logging.getLogger("ftp_deploy").debug("refused", exc_info=True)
        print(f"ftp-deploy: {error}", file=sys.stderr)
        return 2
    except DatabaseError as error:
        logging.getLogger("ftp_deploy").debug("the database refused", exc_info=True)
        said = str(error).strip().partition("\n")[0]
        print(f"ftp-deploy: The database: {said}\nRun `ftp-deploy doctor`, it says what to do.", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever reads what we print has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
