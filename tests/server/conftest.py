"""A browser, a filled database, and a page that is logged in."""

import pytest
from pytest_django.live_server_helper import LiveServer

from tests.server import sample


@pytest.fixture(scope="session")
def live_server(django_db_setup):
    """Serve after the test database exists: earlier, its threads would share one in-memory connection."""
    server = LiveServer("127.0.0.1")
    yield server
    server.stop()


@pytest.fixture
def services(db):
    from django.core.cache import cache

    cache.clear()
    return sample.fill(days=4)


class Console:
    """What a page said that it should not have said."""

    def __init__(self, page) -> None:
        self.said: list[str] = []
        page.on("console", self.hear)
        page.on("pageerror", lambda error: self.said.append(str(error)))

    def hear(self, message) -> None:
        """Keep what the browser calls an error, with the address that it is about."""
        if message.type == "error":
            self.said.append(f"{message.text} {message.location.get('url', '')}")


@pytest.fixture
def open_page(browser, live_server, transactional_db):
    """Return a function that opens a context with a theme, logged in; every page's console has to stay silent."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    contexts, consoles = [], []

    def start(theme: str = "light", *, script: bool = True, width: int = 1280, zone: str = "Europe/Warsaw"):
        user = get_user_model().objects.filter(username="operator").first() or sample.add_admin()
        client = Client()
        client.force_login(user)
        context = browser.new_context(
            base_url=live_server.url,
            color_scheme=theme,
            java_script_enabled=script,
            viewport={"width": width, "height": 860},
            timezone_id=zone,
            locale="en-GB",
            reduced_motion="reduce",
        )
        context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
        page = context.new_page()
        contexts.append(context)
        consoles.append(Console(page))
        return page

    start.consoles = consoles
    yield start
    for context in contexts:
        context.close()
    assert [line for console in consoles for line in console.said] == []
