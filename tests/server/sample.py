"""A database full of services and deploys, for the pages' tests and pictures."""

import random
from datetime import datetime, timedelta

from django.contrib.auth import get_user_model
from django.utils import timezone

from ftp_deploy.deploys.manifest import Entry, Manifest
from ftp_deploy.deploys.tallies import recount
from ftp_deploy.models import (
    Account,
    Address,
    AuditEntry,
    Change,
    Deploy,
    LogLine,
    Notification,
    Service,
    ServiceManifest,
)

SITES = [
    ("harbour-bakery", "github", "ftps", "ftp.harbour-bakery.example", "/public_html"),
    ("northwind-shop", "github", "sftp", "shell.northwind.example", "/var/www/shop"),
    ("city-museum", "gitlab", "ftps", "museum.example", "/www"),
    ("festival-2026", "bitbucket", "ftp", "web12.hoster.example", "/htdocs/festival"),
    ("law-office", "github", "ftps", "law-office.example", "/httpdocs"),
    ("choir-website", "gitea", "sftp", "choir.example", "/srv/www"),
    ("landing-pages", "github", "ftps", "ftp.campaigns.example", "/pages"),
    ("documentation", "git", "sftp", "docs.example", "/srv/docs"),
]
PEOPLE = ["operator", "designer", "editor", "developer"]
MESSAGES = [
    "Fix opening hours on the contact page",
    "Compress the hero image",
    "Add the spring menu",
    "Correct the footer link to the privacy notice",
    "Update jQuery to 3.7.1",
    "New gallery with lazy loading",
    "Translate the imprint",
    "Remove the old campaign banner",
]
LOG = [
    ("info", "Push to main received"),
    ("info", "Fetched commit {c} in 0.41 s"),
    ("info", "Plan: 14 new, 31 modified, 2 removed, 1,204 unchanged"),
    ("info", "Connected to {h} with 8 connections, TLS 1.3"),
    ("info", "Uploaded assets/css/site.css (48.2 kB)"),
    ("warning", "img/team.jpg: 426 Connection closed; sent again on a fresh connection"),
    ("info", "Uploaded 47 files, 2.2 MB in 3.2 s"),
    ("info", "Switched 45 files in 0.3 s, deleted 2"),
]


def commit(generator: random.Random, slug: str) -> dict[str, str]:
    node = f"{generator.getrandbits(160):040x}"
    who = generator.choice(PEOPLE)
    return {
        "id": node,
        "message": generator.choice(MESSAGES),
        "author_name": who.title(),
        "author_email": f"{who}@example.com",
        "timestamp": "",
        "url": f"https://github.com/{slug}/commit/{node}",
    }


def new_deploy(service: Service, state: str, at: datetime, generator: random.Random, **values) -> Deploy:
    commits = [commit(generator, service.repository_slug) for _ in range(generator.choice([1, 1, 2, 3, 5]))]
    seconds = generator.uniform(1.5, 14)
    final = state not in ("queued", "running")
    phases = ["received", "fetching", "planning", "uploading", "switching", "finishing"]
    reached = {"succeeded": phases, "queued": phases[:1], "cancelled": phases[:2], "superseded": phases[:2]}.get(
        state, phases[:4]
    )
    planned = len(reached) > 2
    steps = {name: (at + timedelta(seconds=seconds * n / 6)).isoformat() for n, name in enumerate(reached)}
    return Deploy(
        **{
            "service": service,
            "kind": "push",
            "state": state,
            "phase": reached[-1],
            "branch": service.branch,
            "provider": service.provider,
            "before": f"{generator.getrandbits(160):040x}",
            "after": commits[-1]["id"],
            "commit": commits[-1]["id"] if state == "succeeded" else "",
            "commits": commits,
            "user_name": generator.choice(PEOPLE),
            "started_at": at if state != "queued" else None,
            "finished_at": at + timedelta(seconds=seconds) if final else None,
            "notified_at": at + timedelta(seconds=seconds + 1) if final else None,
            "steps": steps,
            "files_added": generator.randint(0, 9) * planned,
            "files_modified": generator.randint(1, 40) * planned,
            "files_removed": generator.choice([0, 0, 0, 2]) * planned,
            "files_total": 47 * planned,
            "files_done": 47 * planned,
            "bytes_total": 2_202_009 * planned,
            "bytes_done": 2_202_009 * planned,
            "position": at.timestamp(),
            **values,
        }
    )


def add_deploy(service: Service, state: str, at: datetime, generator: random.Random, **values) -> Deploy:
    deploy = new_deploy(service, state, at, generator, **values)
    deploy.save()
    Deploy.objects.filter(pk=deploy.pk).update(created_at=at)
    deploy.created_at = at
    return deploy


def add_log(deploy: Deploy, lines: int = 0) -> None:
    at = deploy.created_at
    told = LOG if deploy.state == "succeeded" else LOG[:6]
    texts = [LOG[n % len(LOG)] for n in range(lines)] or told
    LogLine.objects.bulk_create(
        LogLine(
            deploy=deploy,
            at=at + timedelta(milliseconds=310 * n),
            level=level,
            text=text.format(c=deploy.after[:12], h=deploy.service.host),
        )
        for n, (level, text) in enumerate(texts)
    )


def add_changes(deploy: Deploy, state: str = "applied") -> None:
    paths = ["index.html", "assets/css/site.css", "assets/js/menu.js", "img/hero.webp", "contact/index.html"]
    Change.objects.bulk_create(
        Change(deploy=deploy, path=path, action=action, size=1024 * (n + 1), state=state, blob_id="0" * 40)
        for n, (path, action) in enumerate(zip(paths, ["modify", "modify", "add", "add", "delete"], strict=True))
    )


def checks(failed: str = "") -> list[dict[str, str]]:
    names = {
        "host": "FTP host",
        "login": "FTP login",
        "path": "FTP path",
        "repository_login": "Repository login",
        "repository": "Repository",
        "branch": "Branch",
        "hook": "Hook",
    }
    message = "The server refused the login: 530 Login incorrect. Check the user name and the password of the service."
    return [
        {
            "name": name,
            "label": label,
            "state": "failed" if name == failed else "ok",
            "message": message if name == failed else "",
        }
        for name, label in names.items()
    ]


def manifest() -> Manifest:
    return Manifest({f"page-{n}.html": Entry("0" * 40, 0o100644, 900 + n) for n in range(1251)})


def fill(days: int = 30) -> list[Service]:
    """Fill the database; the same on every run.

    Over 50 lines: one agency's month, told in the order in which the pages show it.
    """
    generator = random.Random(7)
    now = timezone.now()
    account = Account.objects.create(name="Studio", provider="github", username="studio", token="sample-token")
    Account.objects.create(name="Museum", provider="gitlab", username="museum", url="https://git.museum.example")
    team = Notification.objects.create(name="Studio team", deploy_user_fail=True, deploy_user_success=True)
    Notification.objects.create(name="Client and studio", commit_user_fail=True)
    Address.objects.create(notification=team, email="ops@studio.example", on_success=False)
    Address.objects.create(notification=team, email="operator@studio.example")
    services: list[Service] = []
    history: list[tuple[datetime, int]] = []
    for number, (name, provider, protocol, host, path) in enumerate(SITES):
        service = Service.objects.create(
            repository_name=name,
            repository_slug=f"studio/{name}",
            provider=provider,
            account=account if provider == "github" else None,
            protocol=protocol,
            host=host,
            path=path,
            username="web",
            password="sample-password",
            branch="main" if number % 3 else "production",
            notification=team if number % 2 else None,
            status="failing" if number == 3 else "unknown" if number == 7 else "ok",
            checks=checks("login" if number == 3 else "") if number != 7 else [],
            status_message=checks("login")[1]["message"] if number == 3 else "",
            checked_at=now - timedelta(minutes=11 * number + 3) if number != 7 else None,
            hook_id=str(100 + number),
        )
        services.append(service)
        if number == 7:
            continue
        for day in range(days, 0, -1):
            for _ in range(generator.choice([0, 0, 1, 1, 2]) + (number == 0)):
                at = now - timedelta(days=day) + timedelta(hours=generator.gauss(0, 3))
                history.append((min(at, now - timedelta(hours=9)), number))
        stored = ServiceManifest(service=service, commit=f"{generator.getrandbits(160):040x}")
        stored.manifest = manifest()
        stored.save()
    past = []
    for at, number in sorted(history):
        state = generator.choices(["succeeded", "skipped", "restored"], [40, 1, 2])[0]
        past.append(new_deploy(services[number], state, at, generator))
    past = Deploy.objects.bulk_create(past)
    for deploy, (at, _number) in zip(past, sorted(history), strict=True):
        deploy.created_at = at
    Deploy.objects.bulk_update(past, ["created_at"], batch_size=100)
    error = {
        "error": "img/team.jpg: 552 Requested file action aborted. Exceeded storage allocation.",
        "error_kind": "StorageFull",
        "advice": "Free space on the server, or let the service write files directly instead of beside the old ones.",
    }
    for hours in (6, 4.2, 1.1):
        failed = add_deploy(services[4], "failed", now - timedelta(hours=hours), generator, **error)
        add_log(failed)
        LogLine.objects.create(deploy=failed, at=failed.finished_at, level="error", text=error["error"])
        add_changes(failed, "planned")
    login = {
        "error": "530 Login incorrect.",
        "error_kind": "LoginRefused",
        "advice": "Check the user name and password.",
    }
    add_deploy(services[3], "failed", now - timedelta(hours=2), generator, **login)
    good = add_deploy(services[0], "succeeded", now - timedelta(minutes=25), generator)
    add_log(good)
    add_changes(good)
    running = add_deploy(
        services[1],
        "running",
        now - timedelta(seconds=20),
        generator,
        files_total=412,
        files_done=238,
        bytes_total=18_400_000,
        bytes_done=9_700_000,
        current_file="assets/img/products/espresso-machine-steel.webp",
    )
    running.steps["uploading"] = (now - timedelta(seconds=14)).isoformat()
    running.save(update_fields=["steps"])
    add_log(running)
    add_changes(running, "uploaded")
    add_deploy(services[1], "queued", now - timedelta(seconds=4), generator)
    for minutes, action, service in (
        (400, "edit service", services[4]),
        (61, "check", services[3]),
        (3, "deploy", services[1]),
    ):
        entry = AuditEntry.objects.create(
            user_name="operator", action=action, service=service, subject=str(service), address="192.0.2.14"
        )
        AuditEntry.objects.filter(pk=entry.pk).update(at=now - timedelta(minutes=minutes))
    for service in services:
        recount(service.pk)
    return services


def add_admin(name: str = "operator", password: str = "sample"):
    return get_user_model().objects.create_superuser(name, f"{name}@studio.example", password, first_name="Operator")
