"""The limits of what one git server may send, and of the time that it may take."""

import pytest

from ftp_deploy.exceptions import RepositoryError, RepositoryUnavailable
from ftp_deploy.repository import allowance as module
from ftp_deploy.repository.allowance import Allowance
from ftp_deploy.repository.base import GitSource

URL = "https://forge.example/site.git"


def test_all_bytes_count_and_each_answer_has_its_own_talk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_TALK", 100)
    left = Allowance(GitSource(URL, max_bytes=1000))
    left.take(100)
    left.begin_answer()
    left.take(100)
    left.was_pack(90)
    left.take(90)
    with pytest.raises(RepositoryError, match="far too much beside the files"):
        left.take(1)
    left.begin_answer()
    with pytest.raises(RepositoryError, match="sent more than 1000 bytes"):
        left.take(1000)


def test_time_is_up_for_everything_together() -> None:
    Allowance(GitSource(URL)).check_time()
    with pytest.raises(RepositoryUnavailable, match="did not finish within -1 s"):
        Allowance(GitSource(URL, total_timeout=-1.0)).check_time()
