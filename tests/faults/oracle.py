"""The judge: whatever happened, once the faults have stopped all of this must hold."""

import subprocess
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from ftp_deploy.models import Deploy, LeaseEvent
from tests.faults.stage import Site, Stage
from tests.servers.binaries import need
from tests.servers.postgresql import binary

NOTHING = "0" * 40
"""The commit before a branch's first."""


def judge(stage: Stage) -> None:
    """Wait for rest, then check everything. Raises ``AssertionError`` with all violations."""
    stage.settle()
    found = [violation for site in stage.sites for violation in violations(site)]
    found += leaks(stage)
    assert not found, "\n".join(found) + f"\n--- logs\n{stage.project.logs()[-20000:]}"


PROBE = ".ftp-deploy-probe-"
"""A validation after the deploy may be at work while the tree is read; the next one removes what a cut one left."""


def violations(site: Site) -> list[str]:
    """Return what is wrong about one service."""
    return [f"{site.name}: {text}" for text in (*wrong_tree(site), *wrong_rows(site), *wrong_leases(site))]


def wrong_tree(site: Site) -> list[str]:
    """Compare the server with the git tree of the last push, byte by byte; a temporary file is a difference, too."""
    live = {path: content for path, content in site.live().items() if PROBE not in path}
    paths = sorted(path for path in live.keys() | site.tree.keys() if live.get(path) != site.tree.get(path))
    rows = list(site.deploys.values_list("pk", "state", "after", "commit", "error", "epoch")) if paths else []
    return [f"the server differs from the last push in {paths}: {rows}"] if paths else []


def wrong_rows(site: Site) -> list[str]:
    """Every push answered 2xx is stored once and went live, by itself or as part of a later one."""
    wrong = []
    stored = list(site.deploys.filter(kind=Deploy.Kind.PUSH))
    for push in site.pushes:
        rows = [row for row in stored if (row.before or NOTHING, row.after) == (push.before, push.after)]
        if push.accepted and not rows:
            wrong.append(f"push {push.guid} was answered {push.answers} and is not stored")
        # A replay of an older push is stored as one whose order is unknown: the branch's head then decides.
        if sum(not row.order_unknown for row in rows) > 1:
            wrong.append(f"push {push.guid} is stored {len(rows)} times")
    good = (Deploy.State.SUCCEEDED, Deploy.State.RESTORED, Deploy.State.SUPERSEDED)
    wrong += [f"{row} ended {row.state}: {row.error} {row.advice}" for row in stored if row.state not in good]
    return wrong


def wrong_leases(site: Site) -> list[str]:
    """Epochs begin once and in order, and none ends after the next one has begun."""
    events = list(LeaseEvent.objects.using(site.stage.alias).filter(service=site.pk).order_by("pk"))
    wrong = []
    begun = [event for event in events if event.event == "begin"]
    if [event.epoch for event in begun] != list(range(1, len(begun) + 1)):
        wrong.append(f"epochs did not begin in order: {[event.epoch for event in begun]}")
    ends = {event.epoch: event.at for event in events if event.event == "end"}
    for first, second in pairwise(begun):
        if first.epoch in ends and ends[first.epoch] > second.at:
            wrong.append(f"epoch {first.epoch} ended {ends[first.epoch]}, epoch {second.epoch} began {second.at}")
    return wrong


def leaks(stage: Stage) -> list[str]:
    """Return the places in which a secret can be read."""
    places = {"a log": stage.project.logs().encode(), "the database": dump(stage), "the broker": bytes(stage.overheard)}
    for path in (stage.project.folder / "broker").rglob("*"):
        if path.is_file():
            places[f"the embedded broker's {path.name}"] = path.read_bytes()
    return [
        f"secret {number} is in {name}"
        for name, text in places.items()
        for number, secret in enumerate(stage.secrets)
        if secret.encode() in text
    ]


def dump(stage: Stage) -> bytes:
    """Return the whole database as text or as its file."""
    url = stage.project.database_url
    if url.startswith("sqlite"):
        path = Path(urlsplit(url).path)
        return b"".join(part.read_bytes() for part in path.parent.glob(path.name + "*"))
    if url.startswith("mysql"):
        parts = urlsplit(url)
        asked = ["-h", str(parts.hostname), "-P", str(parts.port), "-u", str(parts.username), parts.path.lstrip("/")]
        command = [need("mariadb-dump", "mariadb-client"), "--no-defaults", "--hex-blob", *asked]
        return subprocess.run(command, check=True, capture_output=True, timeout=120).stdout
    return subprocess.run([binary("pg_dump"), url], check=True, capture_output=True, timeout=120).stdout
