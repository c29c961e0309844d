"""``ftp-deploy demo``: sets the stage, tells the story, and stays until Ctrl-C."""

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from ftp_deploy.standalone.demo.stage import REPOSITORY, SITE_PATH, USER, DemoFailed, Stage
from ftp_deploy.standalone.processes import Stopped, stop_on_signals

STEPS = (
    ("First deploy", "first_deploy"),
    ("Pushes", "incremental"),
    ("A delete", "delete"),
    ("A failure, and the restore", "fail_and_restore"),
)


class Voice:
    """Says what happens, with the seconds since the beginning in front."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def title(self, text: str) -> None:
        """Begin a step."""
        print(f"\n{text}", flush=True)

    def say(self, text: str) -> None:
        """Tell one thing."""
        print(f"  {time.monotonic() - self.began:5.1f} s  {text}", flush=True)


def prepare_app(stage: Stage) -> None:
    """Load Django with the settings of the demo, make the tables and the administrator."""
    import django
    from django.contrib.auth import get_user_model

    os.environ.update(stage.environment)
    os.environ["DJANGO_SETTINGS_MODULE"] = "ftp_deploy.standalone.settings"
    django.setup()
    from ftp_deploy.standalone.serve import migrate

    migrate()
    get_user_model()._default_manager.create_superuser("demo", "demo@example.com", stage.admin_password)


def addresses(stage: Stage) -> str:
    """Return what a person needs to look around."""
    return f"""
Look around. Ctrl-C stops everything.
  dashboard   {stage.url("web")}/
  admin       {stage.url("web")}/admin/
  login       demo / {stage.admin_password}
  live site   {stage.url("site")}{SITE_PATH}/
  FTP         ftp://{USER}:{stage.ftp_password}@127.0.0.1:{stage.ports["ftp"]}{SITE_PATH}
  forge       git clone {stage.remote}
  files       {stage.folder}
Change something, commit, push, and reload the live site."""


def repository_source(named: str) -> str:
    """Return what the forge copies: an address as it is, a path made absolute."""
    return str(Path(named).expanduser().absolute()) if named and Path(named).expanduser().exists() else named


def play(stage: Stage, options: argparse.Namespace, voice: Voice) -> None:
    """Tell the whole story; raise ``DemoFailed`` where it does not come out."""
    voice.title("The stage")
    voice.say(f"everything is kept in {stage.folder}")
    prepare_app(stage)
    stage.start_servers()
    origin = f"from {options.repo}" if options.repo else "the sample site"
    voice.say(f"forge {stage.url('forge')}: repository {REPOSITORY}, branch {stage.branch}, {origin}")
    voice.say(f"FTP server on port {stage.ports['ftp']}, its files for a browser at {stage.url('site')}")
    stage.start_app()
    voice.say(f"web {stage.url('web')}, worker with the embedded broker")

    from ftp_deploy.standalone.demo.story import Story

    story = Story(stage, voice.say)
    story.create_service()
    for title, step in STEPS:
        voice.title(title)
        getattr(story, step)()
    if not options.once:
        print(addresses(stage), flush=True)


def stay(stage: Stage) -> None:
    """Wait for ``Stopped``; raise ``DemoFailed`` where a process ends before."""
    idle = threading.Event()
    while not idle.wait(1.0):
        stage.check_processes()


def main(options: argparse.Namespace) -> int:
    """Run the demo; return 0 where every check passed, else 1."""
    if options.folder and options.folder.exists() and any(options.folder.iterdir()):
        print(f"ftp-deploy: {options.folder} is not empty; name a new folder.", file=sys.stderr)
        return 2
    folder = options.folder or Path(tempfile.mkdtemp(prefix="ftp-deploy-demo-"))
    voice = Voice()
    stop_on_signals()
    with Stage(folder, repository_source=repository_source(options.repo)) as stage:
        try:
            play(stage, options, voice)
            if not options.once:
                stay(stage)
        except DemoFailed as failure:
            print(f"\nThe demo failed: {failure}\nThe logs are in {stage.logs}", file=sys.stderr, flush=True)
            return 1
        except Stopped as reason:
            print(f"\nStopping ({reason}). The files stay in {stage.folder}", flush=True)
            return 1 if options.once else 0
    if options.once:
        voice.title("Every check passed.")
        if not options.folder:
            shutil.rmtree(folder, ignore_errors=True)
    return 0
