"""``check`` and ``verify``: is a service well, is its server what we put there."""

from argparse import Namespace
from typing import TextIO

from ftp_deploy import validation
from ftp_deploy.deploys.verify import verify as verify_service
from ftp_deploy.management.services import find_service, find_services

LISTED = 50


def check(options: Namespace, out: TextIO) -> int:
    """Validate services and write a table; 1 where something is wrong."""

    rows: list[tuple[str, ...]] = []
    bad = 0
    services = find_services(options.service)
    for service in services:
        for found in validation.validate(service):
            bad += found.state is validation.State.FAILED
            rows.append((str(service), found.name, str(found.state.value), found.sentence))
    table(("service", "check", "state", "what it says"), rows, out)
    out.write(f"{len(services)} services checked, {bad} checks failed.\n")
    return 1 if bad else 0


def verify(options: Namespace, out: TextIO) -> int:
    """Compare a server with what we put there; 1 where a file is missing or another one."""
    service = find_service(options.service)
    report = verify_service(service)
    for word, paths in (("missing", report.missing), ("changed", report.different), ("not ours", report.unknown)):
        out.write(f"{len(paths)} {word}\n")
        for path in paths[:LISTED]:
            out.write(f"  {path}\n")
        if len(paths) > LISTED:
            out.write(f"  and {len(paths) - LISTED} more\n")
    how = f"by size, {report.hashed} of them by the server's hash as well" if report.hashed else "by size"
    out.write(f"{report.compared} files were compared, {how}.\n")
    out.write("The server is as we left it.\n" if report.clean else "Deploy with --full to put everything right.\n")
    return 0 if report.clean else 1


def table(head: tuple[str, ...], rows: list[tuple[str, ...]], out: TextIO) -> None:
    """Write rows in columns as wide as their widest cell; the last column is as it is."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head) - 1)]
    for row in (head, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        out.write("  ".join([*cells, row[-1]]).rstrip() + "\n")
