"""From a snapshot to a plan: the service's rules, its manifest, and the pure functions of ``plan``."""

from dataclasses import dataclass, replace

from ftp_deploy.deploys.manifest import Manifest
from ftp_deploy.deploys.plan import Plan, Rules, Wanted, make_plan, resolve
from ftp_deploy.models import Service
from ftp_deploy.repository.snapshot import Snapshot

LINK_BYTES = 4096
"""No symlink target is longer (PATH_MAX)."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan and what it was made from."""

    plan: Plan
    wanted: Wanted
    manifest: Manifest


def rules_of(service: Service) -> Rules:
    """Return the rules that a service's fields say."""
    return Rules(subdirectory=service.subdirectory, excludes=service.excludes, delete_limit=service.delete_limit)


def plan_service(
    service: Service,
    snapshot: Snapshot,
    *,
    full: bool = False,
    deletes_confirmed: bool = False,
    manifest: Manifest | None = None,
) -> Planned:
    """Compare a snapshot with what the server holds. Raises ``UnsafePath``, ``TooManyDeletes``."""
    rules = replace(rules_of(service), full=full, deletes_confirmed=deletes_confirmed)
    held = service.manifest if manifest is None else manifest
    wanted = resolve(snapshot.tree, rules, lambda blob_id: snapshot.read(blob_id, LINK_BYTES))
    return Planned(make_plan(held, wanted, rules), wanted, held)
