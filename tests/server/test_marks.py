"""What the pages say about a state: one mark for a service, a sentence for a deploy, a commit's first line."""

import pytest
from django.urls import reverse
from django.utils import timezone

from ftp_deploy.models import Deploy, Service
from ftp_deploy.server import marks
from ftp_deploy.server.templatetags.ftp_deploy_server import state_mark, subject
from ftp_deploy.server.views.deploy import steps_of
from tests.server import sample


def service(**values) -> Service:
    return Service(**{"repository_name": "site", "status": "ok", "checked_at": timezone.now(), **values})


@pytest.mark.parametrize(
    ("values", "failed", "icon", "tone", "words"),
    [
        ({}, 0, "check-circle-fill", "good", "All checks passed"),
        ({}, 1, "x-circle-fill", "bad", "1 failed deploy waits\nAll checks passed"),
        ({}, 3, "x-circle-fill", "bad", "3 failed deploys wait\nAll checks passed"),
        ({"status": "unknown", "checked_at": None}, 0, "question-circle", "muted", "Not checked yet"),
        ({"status": "failing", "status_message": "530 no"}, 2, "exclamation-triangle-fill", "bad", "530 no"),
        ({"enabled": False}, 3, "pause-fill", "muted", "Switched off: pushes are answered"),
    ],
)
def test_a_service_has_one_mark_for_all_that_concerns_it(values, failed, icon, tone, words):
    health = marks.health_of(service(**values), failed)
    assert (health.icon, health.tone) == (icon, tone)
    assert health.words.startswith(words)
    assert health.label


def test_every_state_of_a_deploy_has_a_mark_and_a_sentence():
    assert set(marks.STATES) == set(marks.EXPLAINED) == set(Deploy.State)
    drawn = state_mark(Deploy(state="superseded"))
    assert 'title="It came late' in drawn
    assert "<span>Superseded</span>" in drawn


@pytest.mark.parametrize(
    ("state", "phase", "shown"),
    [
        ("succeeded", "finishing", [("Uploaded", "done"), ("Switched", "done")]),
        ("running", "uploading", [("Upload", "now"), ("Switch", "pending")]),
        ("failed", "uploading", [("Upload", "failed"), ("Switch", "pending")]),
        ("cancelled", "uploading", [("Upload", "stopped"), ("Switch", "pending")]),
    ],
)
def test_a_step_is_called_done_only_once_it_is(state, phase, shown):
    steps = steps_of(Deploy(state=state, phase=phase, created_at=timezone.now()))
    assert [(step.label, step.state) for step in steps[3:5]] == shown


@pytest.mark.parametrize(
    ("message", "shown"),
    [("Fix it\n\nLong story", "Fix it"), ("a\u202eexe.txt\u2066", "aexe.txt"), ("", "(no message)")],
)
def test_a_commit_is_shown_by_its_first_line_which_turns_no_other_text(message, shown):
    assert subject(message) == shown


@pytest.mark.django_db
def test_a_service_whose_deploy_failed_has_no_green_mark(client):
    sample.fill(days=1)
    client.force_login(sample.add_admin())
    page = client.get(reverse("ftpdeploy_dashboard")).content.decode()
    row = page.partition('id="status-5"')[2].partition("service-name")[0]
    assert "3 failed deploys wait" in row
    assert "state-good" not in row
