"""Deliveries that come late, twice, in the wrong order or never."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from ftp_deploy.models import Deploy
from tests.faults.conftest import OpenStage
from tests.faults.oracle import judge
from tests.faults.stage import Push, Site

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def five_pushes(site: Site) -> list[Push]:
    return [site.commit({"index.html": b"%d" % number, f"page-{number}": b"x"}) for number in range(1, 6)]


@pytest.mark.parametrize("combined", [True, False], ids=["combined", "one by one"])
def test_pushes_out_of_order_over_two_web_servers(combined: bool, open_stage: OpenStage) -> None:
    stage = open_stage("postgresql-redis")
    site = stage.add_site(combine_pushes=combined)
    webs = [stage.project.web(), stage.project.web()]
    pushes = five_pushes(site)
    for turn, number in enumerate((3, 1, 5, 2, 4)):
        assert pushes[number - 1].deliver(webs[turn % 2].url) == 202
    in_line = list(site.deploys.values_list("after", flat=True))
    assert in_line == [push.after for push in pushes]
    stage.project.worker(beat=True)
    judge(stage)
    assert site.live()["index.html"] == b"5"


def test_pushes_out_of_order_while_deploys_run(open_stage: OpenStage) -> None:
    stage = open_stage("postgresql-redis")
    site = stage.add_site()
    webs = [stage.project.web(), stage.project.web()]
    stage.project.worker(beat=True)
    pushes = five_pushes(site)
    for turn, number in enumerate((3, 1, 5, 2, 4)):
        assert pushes[number - 1].deliver(webs[turn % 2].url) == 202
        if turn in (0, 2):
            stage.settle()
    judge(stage)
    assert site.live()["index.html"] == b"5"


def test_the_same_delivery_twenty_times_at_once_is_stored_and_deployed_once(open_stage: OpenStage) -> None:
    stage = open_stage("postgresql-redis")
    site = stage.add_site()
    webs = [stage.project.web(), stage.project.web()]
    push = site.commit({"index.html": b"one"})
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: push.deliver(webs[number % 2].url, timeout=30), range(20)))
    assert sorted(answers) == [200] * 19 + [202]
    stage.project.worker(beat=True)
    judge(stage)
    assert push.deliver(webs[0].url, guid="a replay under a new id") == 200
    judge(stage)
    assert site.deploys.get().attempts == 1


RECONCILE = """
from ftp_deploy.deploys.reconcile import reconcile_due
assert reconcile_due() == 1
assert reconcile_due() == 0
"""


def test_what_was_pushed_while_we_were_down_is_found(open_stage: OpenStage) -> None:
    stage = open_stage("postgresql-redis", FTP_DEPLOY_RECONCILE_SECONDS=600)
    site = stage.add_site()
    web = stage.project.web()
    assert site.commit({"index.html": b"one"}).deliver(web.url) == 202
    stage.project.worker()
    stage.settle()
    web.kill()
    missed = site.commit({"index.html": b"two", "new": b"n"})
    stage.project.python(RECONCILE)
    judge(stage)
    found = site.deploys.get(after=missed.after)
    assert (found.state, found.before, found.delivery_id) == (Deploy.State.SUCCEEDED, missed.before, "")
    late = stage.project.web()
    assert missed.deliver(late.url) == 200
    judge(stage)


def test_a_force_push_goes_live_as_it_is(open_stage: OpenStage) -> None:
    stage = open_stage("postgresql-redis")
    site = stage.add_site()
    web = stage.project.web()
    stage.project.worker(beat=True)
    first = site.commit({"index.html": b"one", "gone": b"g"})
    assert first.deliver(web.url) == 202
    kept = dict(site.tree)
    second = site.commit({"index.html": b"two", "gone": None})
    assert second.deliver(web.url) == 202
    stage.settle()
    stage.forge[site.name].move_branch("main", first.after)
    site.tree = kept
    back = Push(site, second.after, first.after)
    site.pushes.append(back)
    assert back.deliver(web.url) == 202
    judge(stage)
