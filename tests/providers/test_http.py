"""The client of the forges' APIs against a real server on loopback."""

import gzip
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from ftp_deploy.exceptions import ApiError, ConfigurationError
from ftp_deploy.providers import http
from ftp_deploy.providers.cache import ConditionalAnswers, Remembered, conditional_answers
from ftp_deploy.providers.http import Client
from tests.providers.scripted_forge import ScriptedForge

TOKEN = "canary-token"


@pytest.fixture
def forge() -> Iterator[ScriptedForge]:
    conditional_answers.clear()
    with ScriptedForge() as forge:
        yield forge
    conditional_answers.clear()


@pytest.fixture
def client(forge: ScriptedForge, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.01)
    return Client("Forge", f"{forge.url}/api", {"Authorization": f"Bearer {TOKEN}"}, allow_private=True)


def refusal(client: Client, path: str = "x", method: str = "GET") -> ApiError:
    with pytest.raises(ApiError) as caught:
        client.call(method, path)
    error = caught.value
    assert TOKEN not in f"{error!r} {error.advice} {error.__cause__!r}"
    return error


def test_a_call_logs_in_and_reads_an_object(forge: ScriptedForge, client: Client) -> None:
    forge.reply({"a": 1})
    assert client.get("user", {"x": "é"}) == {"a": 1}
    (seen,) = forge.seen
    assert seen.path == "/api/user?x=%C3%A9"
    assert seen.headers["authorization"] == f"Bearer {TOKEN}"


def test_a_login_file_of_the_user_is_not_used(
    forge: ScriptedForge, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login x password y\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    forge.reply({})
    Client("Forge", forge.url, {}, allow_private=True).get("x")
    assert "authorization" not in forge.seen[0].headers


@pytest.mark.parametrize("token", ["canary\ntoken", "canary\u00e9", "canary\0"])
def test_a_token_that_cannot_be_one_is_named_but_not_shown(token: str) -> None:
    with pytest.raises(ConfigurationError, match="no token has") as caught:
        Client("Forge", "https://forge.example.com", {"Authorization": token})
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "forge.example.com", "ftp://x", "https://", "https://x:y", "https://[", "x://y"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ConfigurationError, match="not a web address"):
        Client("Forge", url, {})


class TestRetries:
    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    def test_an_idempotent_call_is_tried_again(self, forge: ScriptedForge, client: Client, method: str) -> None:
        forge.reply(None, 503)
        forge.reply(cut=True)
        forge.reply({"a": 1})
        assert client.call(method, "x").body == {"a": 1}
        assert len(forge.seen) == 3

    def test_any_other_call_is_not(self, forge: ScriptedForge, client: Client) -> None:
        forge.reply(None, 503)
        error = refusal(client, method="POST")
        assert (error.status, error.transient, len(forge.seen)) == (503, True, 1)

    def test_it_gives_up_after_three(self, forge: ScriptedForge, client: Client) -> None:
        for _ in range(3):
            forge.reply(None, 502)
        assert "problem of its own" in refusal(client).message
        assert len(forge.seen) == 3

    def test_a_short_wait_is_honoured(self, forge: ScriptedForge, client: Client) -> None:
        forge.reply(None, 429, Retry_After="1")
        forge.reply({})
        start = time.monotonic()
        client.get("x")
        assert time.monotonic() - start >= 1

    def test_a_refusal_for_good_is_not_tried_again(self, forge: ScriptedForge, client: Client) -> None:
        forge.reply({"message": "Bad credentials"}, 401)
        error = refusal(client)
        assert "refused the login" in error.message
        assert "Bad credentials" in error.message
        assert "expired" in error.advice
        assert not error.transient


class TestRateLimit:
    def test_a_reset_is_told_as_a_time(self, forge: ScriptedForge, client: Client) -> None:
        reset = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
        forge.reply({"message": "limit"}, 403, X_RateLimit_Remaining="0", X_RateLimit_Reset=str(int(reset.timestamp())))
        error = refusal(client)
        assert "rate limit" in error.message
        assert "2031-05-06 07:08:09 UTC" in error.message
        assert error.transient
        assert len(forge.seen) == 1

    @pytest.mark.parametrize("form", ["seconds", "date"])
    def test_retry_after_in_both_forms(self, forge: ScriptedForge, client: Client, form: str) -> None:
        until = datetime.now(UTC) + timedelta(seconds=3600)
        value = "3600" if form == "seconds" else format_datetime(until, usegmt=True)
        forge.reply(None, 429, Retry_After=value)
        error = refusal(client)
        assert f"{until:%Y-%m-%d %H:}" in error.message or f"{until + timedelta(minutes=1):%H:}" in error.message

    @pytest.mark.parametrize("value", ["soon", "-1", "9" * 400, "²", "1e999"])
    def test_a_strange_header_is_survived(self, forge: ScriptedForge, client: Client, value: str) -> None:
        for _ in range(3):
            forge.reply(None, 429, X_RateLimit_Reset=value.encode().decode("latin-1"))
        assert "rate limit" in refusal(client).message

    def test_a_403_without_those_headers_is_about_rights(self, forge: ScriptedForge, client: Client) -> None:
        forge.reply({"message": "no"}, 403, X_OAuth_Scopes="repo:status", X_Accepted_OAuth_Scopes="admin:repo_hook")
        error = refusal(client)
        assert "admin:repo_hook" in error.advice
        assert "repo:status" in error.advice
        assert not error.transient


class TestRedirects:
    def test_inside_the_forge_it_is_followed(self, forge: ScriptedForge, client: Client) -> None:
        forge.reply(None, 301, Location="/api/repositories/7")
        forge.reply({"full_name": "o/new"})
        assert client.get("repos/o/old")["full_name"] == "o/new"
        assert forge.seen[1].headers["authorization"]

    def test_a_write_keeps_its_method_and_body(self, forge: ScriptedForge, client: Client) -> None:
        forge.reply(None, 307, Location="/api/repositories/7/hooks")
        forge.reply({"id": 1}, 201)
        assert client.send("POST", "repos/o/old/hooks", {"x": 1}) == {"id": 1}
        assert (forge.seen[1].method, forge.seen[1].body) == ("POST", {"x": 1})

    def test_a_write_is_not_turned_into_a_read(self, forge: ScriptedForge, client: Client) -> None:
        forge.reply(None, 301, Location="/api/repositories/7/hooks")
        assert "moved or renamed" in refusal(client, method="POST").message

    def test_the_token_goes_to_no_other_host(self, forge: ScriptedForge, client: Client) -> None:
        with ScriptedForge() as other:
            forge.reply(None, 302, Location=f"{other.url}/api/x")
            assert "another host" in refusal(client).message
            forge.reply([{}], Link=f'<{other.url}/api/x?page=2>; rel="next"')
            with pytest.raises(ApiError, match="another host"):
                list(client.items("x", {}))
            assert other.seen == []

    def test_a_circle_ends(self, forge: ScriptedForge, client: Client) -> None:
        for _ in range(5):
            forge.reply(None, 302, Location="/api/x")
        assert "circle" in refusal(client).message


class TestPages:
    def test_all_of_them_are_read(self, forge: ScriptedForge, client: Client) -> None:
        forge.reply([{"n": 1}], Link=f'<{forge.url}/api/x?page=2>; rel="next"')
        forge.reply([{"n": 2}], Link='</api/x?page=3>; rel="next"')
        forge.reply([{"n": 3}])
        assert [item["n"] for item in client.items("x", {"per_page": 1})] == [1, 2, 3]
        assert [seen.path for seen in forge.seen] == ["/api/x?per_page=1", "/api/x?page=2", "/api/x?page=3"]

    def test_a_list_without_end_ends(self, client: Client, forge: ScriptedForge, monkeypatch: Any) -> None:
        monkeypatch.setattr(http, "MOST_PAGES", 3)
        for _ in range(9):
            forge.reply([{}], Link='</api/x>; rel="next"')
        assert len(list(client.items("x", {}))) == 3

    @pytest.mark.parametrize("body", [{}, "x", None, [1], [[]]])
    def test_something_else_than_a_list_is_an_error(self, forge: ScriptedForge, client: Client, body: Any) -> None:
        forge.reply(body)
        with pytest.raises(ApiError, match="something else"):
            list(client.items("x", {}))


class TestConditional:
    def test_an_unchanged_list_is_not_sent_again(self, forge: ScriptedForge, client: Client) -> None:
        forge.reply([{"n": 1}], ETag='"a"', Link='</api/x?page=2>; rel="next"')
        forge.reply([{"n": 2}], ETag='"b"')
        first = list(client.items("x", {}))
        forge.reply(None, 304)
        forge.reply([{"n": 3}], ETag='"c"')
        assert first == [{"n": 1}, {"n": 2}]
        assert list(client.items("x", {})) == [{"n": 1}, {"n": 3}]
        assert [seen.headers.get("if-none-match") for seen in forge.seen] == [None, None, '"a"', '"b"']

    def test_another_login_does_not_see_it(self, forge: ScriptedForge, client: Client) -> None:
        forge.reply({"a": 1}, ETag='"a"')
        client.get("x")
        forge.reply({"a": 2})
        Client("Forge", f"{forge.url}/api", {"Authorization": "Bearer other"}, allow_private=True).get("x")
        assert "if-none-match" not in forge.seen[1].headers

    def test_the_memory_is_bounded(self) -> None:
        memory = ConditionalAnswers(limit=2)
        requests = [type("Request", (), {"url": str(n), "headers": {}})() for n in range(3)]
        for request in requests:
            memory.remember(request, Remembered("e", b"x"))
        assert [memory.look_up(request) is None for request in requests] == [True, False, False]
        memory.remember(requests[0], Remembered("e", b"x" * 10_000_000))
        assert memory.look_up(requests[0]) is None


class TestStrangeAnswers:
    @pytest.mark.parametrize("body", [b"<html>", b"\xff", b"[" * 100_000, b"[]", b"7"])
    def test_what_is_no_object(self, forge: ScriptedForge, client: Client, body: bytes) -> None:
        forge.reply(body)
        with pytest.raises(ApiError, match="something else") as caught:
            client.get("x")
        assert "address" in caught.value.advice

    def test_a_body_without_end(self, forge: ScriptedForge, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http, "LARGEST_BODY", 1000)
        forge.reply(b"x" * 2000)
        assert "more than 1000 bytes" in refusal(client).message

    def test_a_slow_body(self, forge: ScriptedForge, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http, "TOTAL_SECONDS", -1.0)
        forge.reply(b"{}")
        assert "too long" in refusal(client).message

    @pytest.mark.parametrize("body", [{"message": ["a", "b"]}, {"error": {"message": "a b"}}, {"error": "a b"}])
    def test_the_forges_own_words_are_shown(self, forge: ScriptedForge, client: Client, body: Any) -> None:
        forge.reply(body, 422)
        message = refusal(client).message
        assert "422" in message
        assert "It said: a" in message

    def test_the_forges_own_words_steer_no_terminal(self, forge: ScriptedForge, client: Client) -> None:
        forge.reply({"message": "\x1b[2Jgone\nWARNING \u202e" + "x" * 5000}, 422)
        message = refusal(client).message
        assert "gone WARNING" in message
        assert message.isprintable()
        assert len(message) < 500

    @pytest.mark.parametrize("status", [400, 404, 409, 410, 418, 451])
    def test_every_status_has_a_sentence(self, forge: ScriptedForge, client: Client, status: int) -> None:
        forge.reply(b"<html>", status)
        error = refusal(client)
        assert f"HTTP {status}" in error.message
        assert error.status == status

    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1", "0.0.0.0", "2130706433"]
    )
    def test_an_address_that_is_not_public_is_refused(self, forge: ScriptedForge, host: str) -> None:
        port = forge.url.rpartition(":")[2]
        error = refusal(Client("Forge", f"http://{host}:{port}", {"Authorization": TOKEN}))
        assert "FTP_DEPLOY_ALLOW_PRIVATE_ADDRESSES" in error.advice
        assert not error.transient
        assert forge.seen == []

    def test_a_whole_address_of_another_host_is_refused(self, forge: ScriptedForge, client: Client) -> None:
        assert "another host" in refusal(client, forge.url.replace("127.0.0.1", "localhost")).message
        assert forge.seen == []

    def test_an_answer_that_swells_is_cut(self, forge: ScriptedForge, client: Client) -> None:
        bomb = gzip.compress(b" " * (http.LARGEST_BODY + 1), 9)
        assert len(bomb) < http.LARGEST_BODY // 500
        forge.reply(bomb, Content_Encoding="gzip")
        assert "more than" in refusal(client, method="POST").message

    def test_nobody_listens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http, "FIRST_PAUSE", 0.01)
        with ScriptedForge() as forge:
            url = forge.url
        error = refusal(Client("Forge", url, {"Authorization": TOKEN}, allow_private=True))
        assert "no connection to 127.0.0.1" in error.message
        assert error.transient

    def test_a_server_that_says_nothing(
        self, forge: ScriptedForge, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http, "REPLY_TIMEOUT", 0.2)
        release = time.monotonic() + 1

        def wait(seen: Any) -> Any:
            while time.monotonic() < release:
                time.sleep(0.05)
            raise ConnectionError

        forge.script = wait
        assert "did not answer in time" in refusal(client, method="POST").message
