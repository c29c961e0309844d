"""Times and durations as people read them."""

from datetime import timedelta

import pytest

from ftp_deploy.server.templatetags.ftp_deploy_server import took, when


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.84, "0.8 s"), (42, "42 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (7_440, "2 h 4 min"),
        (47 * 3600, "47 h 0 min"), (51 * 3600, "2 d 3 h"), (None, "–"),
    ],
)  # fmt: skip
def test_durations(seconds: float | None, shown: str) -> None:
    assert took(seconds) == shown
    if seconds is not None:
        assert took(timedelta(seconds=seconds)) == shown


def test_what_never_happened_is_a_dash() -> None:
    assert "–" in when(None)
    assert "<time" not in when(None)
