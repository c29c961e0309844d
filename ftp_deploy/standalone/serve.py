"""The processes of a site: ``web``, ``worker``, and ``serve``, which runs both."""

import errno
import logging
import signal
import socket
import sys
import warnings
from argparse import Namespace
from importlib import import_module
from types import FrameType
from typing import Any

from celery.platforms import SecurityWarning
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from ftp_deploy.conf import MEGABYTE, conf
from ftp_deploy.links import public
from ftp_deploy.standalone.processes import Child, Supervisor, ftp_deploy_command, stop_on_signals
from ftp_deploy.standalone.setup import needs_first_account, setup_path
from ftp_deploy.standalone.site import site

CONNECTIONS = 1000
"""Connections kept open at the same time: each browser that watches a page keeps one."""

log = logging.getLogger("ftp_deploy.standalone")


def waiting_migrations() -> int:
    """Return how many migrations the database lacks."""
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def migrate() -> None:
    """Bring the database up to this version; harmless when it is."""
    if waiting_migrations():
        print("Bringing the database up to this version ...", flush=True)
    call_command("migrate", interactive=False, verbosity=0)


def address(host: str, port: int, path: str = "/") -> str:
    """Return where a browser finds a path of the site: at its public address, else on this machine."""
    shown = "127.0.0.1" if host in ("", "*", "0.0.0.0") else f"[{host}]" if ":" in host else host  # noqa: S104
    return public(path) or f"http://{shown}:{port}{path}"


def first_account(host: str, port: int) -> None:
    """Ask for the first account on a terminal; print the link that makes it where there is none."""
    if not needs_first_account():
        return
    if sys.stdin.isatty():
        print("Nobody can log in yet. The first account, which may do everything:", flush=True)
        call_command("createsuperuser", interactive=True)
        return
    link = address(host, port, setup_path())
    print(f"Nobody can log in yet. Make the first account here, within a day:\n  {link}", flush=True)


def web(options: Namespace) -> None:
    """Serve the site with waitress until SIGTERM or Ctrl-C."""
    from ftp_deploy.standalone.wsgi import application

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    trusted = {}
    if site.TRUSTED_PROXY:
        trusted = {
            "trusted_proxy": site.TRUSTED_PROXY,
            "trusted_proxy_headers": "x-forwarded-for x-forwarded-proto x-forwarded-host",
        }
    server = listen(
        application,
        host=options.host,
        port=options.port,
        threads=options.threads,
        max_request_body_size=conf.WEBHOOK_MAX_BYTES + MEGABYTE,
        clear_untrusted_proxy_headers=True,
        channel_timeout=60,
        connection_limit=CONNECTIONS,
        asyncore_use_poll=True,  # select() knows no more than 1,024 of them
        ident="",
        **trusted,
    )
    log.info("web: %s", address(options.host, options.port))
    server.run()


def listen(application: Any, *, host: str, port: int, **options: Any) -> Any:
    """Return waitress's server, listening. Raises ``CommandError`` where the address cannot be had."""
    import waitress

    try:
        return waitress.create_server(application, host=host, port=port, **options)
    except (OSError, ValueError) as error:
        raise CommandError(refusal(host, port, error)) from error


def refusal(host: str, port: int, error: Exception) -> str:
    """Say why an address cannot be listened on, and what to do."""
    number = getattr(error, "errno", None)
    advice = {
        errno.EADDRINUSE: "Another program listens there: stop it, or choose another port with --port.",
        errno.EACCES: "Ports below 1024 need rights: choose another port with --port, and put a proxy in front.",
        errno.EADDRNOTAVAIL: "This machine has no such address: choose one with --host.",
    }.get(number or 0, "Choose others with --host and --port.")
    said = str(getattr(error, "strerror", None) or error).rstrip(".")
    return f"Cannot listen on {host} port {port}: {said}. {advice}"


def claim(host: str, port: int) -> None:
    """Look whether the site's address can be had, before anything is asked or made. Raises ``CommandError``."""
    try:
        family, kind, _protocol, _name, place = socket.getaddrinfo(
            None if host == "*" else host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        raise CommandError(refusal(host, port, error)) from error


def worker(options: Namespace) -> None:
    """Run a Celery worker, with the clock for periodic work unless told otherwise."""
    app = import_module("ftp_deploy.celery").app

    warnings.filterwarnings("ignore", category=SecurityWarning)  # of running as root: nothing here is unpickled
    arguments = ["--quiet", "worker", "--loglevel", "INFO", "--concurrency", str(options.concurrency)]
    arguments += ["--without-gossip", "--without-mingle"]
    if options.queues:
        arguments += ["--queues", options.queues]
    if options.name:
        arguments += ["--hostname", f"{options.name}@%h"]
    if not options.no_beat:
        arguments += ["--beat", "--schedule", str(site.DATA_FOLDER / "broker" / "beat-schedule")]
    app.worker_main(arguments)


def serve(options: Namespace) -> None:
    """Migrate, see to the first account, then keep web and worker running until SIGTERM or Ctrl-C."""
    print(f"Data folder: {site.DATA_FOLDER}", flush=True)
    claim(options.host, options.port)
    migrate()
    first_account(options.host, options.port)
    stop_on_signals()
    web_options = ["--host", options.host, "--port", str(options.port), "--threads", str(options.threads)]
    environment = {"DATA_FOLDER": str(site.DATA_FOLDER)}
    Supervisor(
        [
            Child("web", ftp_deploy_command("web", *web_options), environment),
            Child("worker", ftp_deploy_command("worker", "--concurrency", str(options.concurrency)), environment),
        ]
    ).run()
