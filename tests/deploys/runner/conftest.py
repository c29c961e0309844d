"""What each test of the runner ends with."""

from collections.abc import Iterator

import pytest

from tests.deploys.test_tallies import assert_sums_equal_rows


@pytest.fixture(autouse=True)
def sums_equal_rows(db) -> Iterator[None]:
    """After each run the tallies say what the rows say."""
    yield
    assert_sums_equal_rows()
