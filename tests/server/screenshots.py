"""Write a picture of each page into docs/images/: light and dark, desktop and phone. ``fab screenshots``."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import django

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SIZES = {"desktop": (1280, 860), "phone": (390, 844)}


FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><include ignore_missing="yes">/etc/fonts/fonts.conf</include>
<match target="pattern"><test qual="any" name="family"><string>system-ui</string><string>sans</string>
<string>sans-serif</string><string>DejaVu Sans</string></test>
<edit name="family" mode="assign" binding="strong"><string>Inter</string></edit></match></fontconfig>
"""
"""The system's font, as a desktop has one: Inter where it is installed (Debian: fonts-inter)."""


@contextmanager
def desktop_font() -> Iterator[None]:
    """Let the browser take a desktop's font for the system's."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "fonts.conf"
        file.write_text(FONTS)
        os.environ["FONTCONFIG_FILE"] = str(file)
        try:
            yield
        finally:
            del os.environ["FONTCONFIG_FILE"]


def make_small(pictures: list[Path]) -> None:
    """Reduce the pictures to 256 colours each, where pngquant is installed: a third of the size, no visible loss."""
    program = shutil.which("pngquant")
    if program and pictures:
        options = ["--force", "--ext", ".png", "--skip-if-larger", "--strip", "--speed", "1"]
        subprocess.run([program, *options, *map(str, pictures)], check=False)


@contextmanager
def running_site() -> Iterator[str]:
    """Serve the dashboard over a filled throwaway database; yields its address."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.test.runner import DiscoverRunner
    from django.test.testcases import LiveServerThread
    from django.test.utils import setup_test_environment, teardown_test_environment

    setup_test_environment()
    runner = DiscoverRunner(verbosity=0, interactive=False)
    databases = runner.setup_databases()
    server = LiveServerThread("127.0.0.1", StaticFilesHandler)
    server.daemon = True
    server.start()
    server.is_ready.wait()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.terminate()
        server.join()
        runner.teardown_databases(databases)
        teardown_test_environment()


def pages() -> dict[str, tuple[str, str]]:
    """Return, for each picture, the page's path and what to click before."""
    from django.urls import reverse

    from ftp_deploy.models import Deploy, Notification, Service

    failing = Service.objects.get(repository_name="law-office").pk
    busy = Service.objects.get(repository_name="northwind-shop").pk
    good = Service.objects.get(repository_name="harbour-bakery").pk
    running = Deploy.objects.get(state="running").pk
    failed = Deploy.objects.failed().filter(service=failing).latest("pk").pk
    live = Deploy.objects.filter(service=good).latest("pk").pk
    return {
        "dashboard": (reverse("ftpdeploy_dashboard"), ""),
        "manage": (reverse("ftpdeploy_service_manage", args=[failing]), ""),
        "manage-running": (reverse("ftpdeploy_service_manage", args=[busy]), ""),
        "restore": (reverse("ftpdeploy_service_manage", args=[failing]), "a.btn-primary:has-text('Restore deploys')"),
        "service-add": (reverse("ftpdeploy_service_add"), ""),
        "service-edit": (reverse("ftpdeploy_service_edit", args=[good]), ""),
        "deploy-running": (reverse("ftpdeploy_deploy_detail", args=[running]), ""),
        "deploy-failed": (reverse("ftpdeploy_deploy_detail", args=[failed]), ""),
        "deploy": (reverse("ftpdeploy_deploy_detail", args=[live]), ""),
        "log": (reverse("ftpdeploy_log"), ""),
        "audit": (reverse("ftpdeploy_audit"), ""),
        "statistics": (reverse("ftpdeploy_statistics"), ""),
        "notifications": (reverse("ftpdeploy_notifications"), ""),
        "notification-edit": (
            reverse("ftpdeploy_notification_edit", args=[Notification.objects.get(name="Studio team").pk]),
            "",
        ),
        "accounts": (reverse("ftpdeploy_accounts"), ""),
        "verify": (reverse("ftpdeploy_service_verify", args=[good]), ""),
    }


def sample_preview(service: object, *_rest: object) -> object:
    """Return the preview that the Restore picture shows: there is no forge behind the sample database."""
    from ftp_deploy.deploys.restore import Preview, commits_of, restorable

    commits = commits_of(list(restorable(service)))
    added = ("img/spring-menu.webp", "img/gallery/terrace.webp")
    modified = ("index.html", "contact/index.html", "assets/css/site.css", "assets/js/menu.js")
    return Preview(commits[-1]["id"], tuple(commits), added, modified, ("img/old-banner.jpg",), ("robots.txt",))


def log_in(page, site: str) -> None:
    from django.urls import reverse

    page.goto(site + reverse("ftpdeploy_login"))
    page.fill("#id_username", "operator")
    page.fill("#id_password", "sample")
    page.click("button[type=submit]")


def take(browser, site: str, only: str) -> None:
    """Take the pictures."""
    from django.urls import reverse

    for size, (width, height) in SIZES.items():
        for theme in ("light", "dark"):
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion="reduce", locale="en-GB"
            )
            page = context.new_page()
            page.goto(site + reverse("ftpdeploy_login"))
            if not only or only == "login":
                page.screenshot(path=IMAGES / f"login-{size}-{theme}.png")
            log_in(page, site)
            for name, (path, click) in pages().items():
                if only and name not in only.split(","):
                    continue
                page.goto(site + path)
                if click:
                    page.click(click)
                    page.wait_for_selector("dialog[open] .dialog-foot")
                page.wait_for_timeout(500)
                if not click:  # grown to the page's height: what sticks to an edge is where it belongs
                    whole = page.evaluate("document.documentElement.scrollHeight")
                    page.set_viewport_size({"width": width, "height": min(max(whole, height), 2600)})
                page.screenshot(path=IMAGES / f"{name}-{size}-{theme}.png")
                page.set_viewport_size({"width": width, "height": height})
            context.close()


def main() -> None:
    """Fill, serve, take. An argument names the only pictures to take, with commas."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with running_site() as site:
        from tests.server import sample
        from tests.server.browser import chromium

        sample.fill()
        sample.add_admin()
        preview = mock.patch("ftp_deploy.deploys.restore.preview_restore", sample_preview)
        only = sys.argv[1] if len(sys.argv) > 1 else ""
        with desktop_font(), preview, chromium() as browser:
            take(browser, site, only)
    names = only.split(",") if only else [""]
    make_small([path for path in IMAGES.glob("*.png") if any(path.name.startswith(name) for name in names)])


if __name__ == "__main__":
    main()
