"""How much memory a deploy takes at most: measured in a process of its own, which does nothing else."""

import random

import pytest

from ftp_deploy.standalone.processes import ftp_deploy_command
from tests.servers.installation import Installation
from tests.servers.sshd import OpenSSH

pytestmark = [pytest.mark.integration, pytest.mark.slow]

MEGABYTE = 1024 * 1024
LARGEST = 16 * MEGABYTE
LIMIT = 150 * MEGABYTE + 2 * LARGEST
"""What a worker may take: 150 MB, and twice the largest file."""

# VmHWM, and not getrusage: that one begins with what the process had that started this one.
DEPLOY = """
from pathlib import Path
from ftp_deploy.deploys import queue
from ftp_deploy.deploys.runner import run_service
from ftp_deploy.models import Service
service = Service.objects.get()
deploy = queue.deploy_now(service)
run_service(service.pk)
deploy.refresh_from_db()
lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
peak = int(lines["VmHWM"].split()[0]) * 1024
answer = {"state": deploy.state, "error": deploy.error, "files": deploy.files_done, "peak": peak}
"""


def large_tree() -> dict[str, bytes]:
    """Return 170 MB in files of all sizes that no compression makes smaller: more than a worker may take in all."""
    dice = random.Random(5)
    medium = {f"media/{number % 7}/{number}.bin": dice.randbytes(600_000) for number in range(250)}
    small = {f"pages/{number % 20}/{number}.html": dice.randbytes(900) for number in range(1500)}
    return {**medium, **small, "large.bin": dice.randbytes(LARGEST)}


@pytest.mark.parametrize("protocol", ["ftps", "sftp"])
def test_the_peak_of_a_worker(protocol, tmp_path, start_forge, start_server):
    forge = start_forge()
    forge.create_repository("site", {"README": b"first"})
    tree = large_tree()
    forge.commit("site", tree, push=False)
    installation = Installation(tmp_path, forge, FTP_DEPLOY_PERIODIC_TASKS="false")
    installation.run(ftp_deploy_command("migrate"))
    server = OpenSSH(quiet=True) if protocol == "sftp" else start_server("vsftpd", "explicit")
    try:
        if protocol == "sftp":
            server.start()
        target = server.target()
        installation.add_service(
            server,
            "webmaster/site",
            max_connections=16,
            private_key=target.private_key,
            fingerprint=target.fingerprint,
            certificate_authority=target.certificate_authority,
        )
        answer = installation.python(DEPLOY)
        print(f"{protocol}: peak {answer['peak'] / MEGABYTE:.0f} MB of {LIMIT / MEGABYTE:.0f}")  # noqa: T201
        assert answer["state"] == "succeeded", answer
        assert answer["files"] == len(tree) + 1
        assert all(server.read(path) == content for path, content in tree.items())
        assert answer["peak"] < LIMIT
    finally:
        server.stop()
