"""Captured bodies with every field left out or of another type: read or refused, never anything else."""

import json
from pathlib import Path

import pytest

from ftp_deploy.exceptions import PayloadUnreadable
from ftp_deploy.providers import provider_class
from ftp_deploy.providers.base import Account, WebhookRequest
from tests.providers.samples import EVENT_HEADERS, captured, event_of
from tests.providers.webhook_contract import check_clean, mutations

FILES = [item for folder in EVENT_HEADERS for item in captured(folder)]


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_every_field_of_a_captured_body(file: Path) -> None:
    folder = file.parent.name
    provider = provider_class(folder.removesuffix("-enterprise"))(Account())
    headers = {EVENT_HEADERS[folder]: event_of(file)}
    fields = json.loads(file.read_bytes())
    for value in (None, 7, "x", [{}]):
        for changed in mutations(fields, value):
            try:
                delivery = provider.parse(WebhookRequest(headers, json.dumps(changed).encode()))
            except PayloadUnreadable:
                continue
            check_clean(delivery)
