"""What a service refuses before any check can look at it."""

import pytest
from django.core.exceptions import ValidationError

from ftp_deploy.models import Account, Service


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"account": Account(name="a", provider="gitlab"), "provider": "github"}, "account"),
        ({"file_mode": "rw-r--r--"}, "file_mode"),
        ({"file_mode": "689"}, "file_mode"),
    ],
)
def test_values_that_no_later_check_could_mend(values: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Service(**values).clean()
    assert list(caught.value.message_dict) == [field]


def test_what_fits_is_taken() -> None:
    Service(account=Account(name="a", provider="github"), provider="github", file_mode="644").clean()
