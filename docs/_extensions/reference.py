"""Sphinx directives that write the reference pages from the code itself, so that they cannot fall behind it."""

import argparse
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import django
from django.core.management import get_commands, load_command_class
from django.db.models import TextChoices
from django.urls import URLPattern, URLResolver
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

Lines = Iterator[str]


def settings() -> Lines:
    """Each setting with its default and its meaning."""
    from ftp_deploy.conf import Conf, Setting

    for setting in vars(Conf).values():
        if isinstance(setting, Setting):
            yield from (f".. confval:: {setting.name}", f"   :default: ``{setting.default!r}``", "")
            yield from (f"   {setting.help_text}", "")


def choice_list(choices: type[TextChoices]) -> Lines:
    """Each member as a definition: its stored value, what people see, and the text below it in the source."""
    source = inspect.getsource(choices)
    for member in choices:
        found = re.search(rf'^    {member.name} = .*\n    """(.*?)"""', source, re.MULTILINE | re.DOTALL)
        text = " ".join(found.group(1).split()) if found else ""
        yield from (f"``{member.value}`` (shown as *{member.label}*)", f"   {text}", "")


def states() -> Lines:
    """The states and phases of deploys, the statuses of services, the states of changes."""
    from ftp_deploy.models import deploy, service

    for title, choices in (
        ("State of a deploy", deploy.DeployState),
        ("Kind of a deploy", deploy.DeployKind),
        ("Phase of a running deploy", deploy.Phase),
        ("State of one file of a deploy", deploy.ChangeState),
        ("Action on one file", deploy.ChangeAction),
        ("Status of a service", service.ServiceStatus),
    ):
        yield from (title, "-" * len(title), "", *choice_list(choices))


def errors() -> Lines:
    """Each error, what it means and what to do."""
    from ftp_deploy import exceptions

    for _name, error in inspect.getmembers(exceptions, inspect.isclass):
        if error.__module__ != exceptions.__name__:
            continue
        yield from (f"``{error.__name__}``", f"   {inspect.cleandoc(error.__doc__ or '').splitlines()[0]}")
        if error.transient:
            yield "   It may pass by itself: the deploy is tried again."
        if error.advice:
            yield from ("", f"   What to do: {error.advice}")
        yield ""


def parser_lines(parser: argparse.ArgumentParser, left_out: Sequence[str] = ()) -> Lines:
    """Usage and options of one parser, then of its sub-commands."""
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=92)
    yield from (".. code-block:: text", "")
    yield from (f"   {line}" for line in parser.format_help().splitlines())
    yield ""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                title = f"{parser.prog} {name}"
                yield from (title, "~" * len(title), "", *parser_lines(sub, left_out))


def command_line() -> Lines:
    """The ``ftp-deploy`` command."""
    from ftp_deploy.standalone.cli import build_parser

    yield from parser_lines(build_parser())


def management_commands() -> Lines:
    """The management commands of the app."""
    for name, app in sorted(get_commands().items()):
        if app == "ftp_deploy":
            parser = load_command_class("ftp_deploy", name).create_parser("manage.py", name)
            yield from (f"manage.py {name}", "-" * (10 + len(name)), "", *parser_lines(parser))


def url_lines(patterns: Sequence[URLPattern | URLResolver], prefix: str) -> Lines:
    """Each address with its name and the first line of its view's docstring."""
    for pattern in patterns:
        where = prefix + re.sub(r"<(?:\w+:)?(\w+)>", r"<\1>", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from url_lines(pattern.url_patterns, where)
            continue
        view: Any = getattr(pattern.callback, "view_class", pattern.callback)
        text = inspect.cleandoc(view.__doc__ or "").partition("\n")[0]
        yield from (f"``{where or '/'}`` (``{pattern.name}``)", f"   {text or 'See the source.'}", "")


def urls() -> Lines:
    """The addresses of the core, the dashboard and the stand-alone project."""
    from ftp_deploy import urls as core
    from ftp_deploy.server import urls as server
    from ftp_deploy.standalone import urls as standalone

    own = [pattern for pattern in standalone.urlpatterns if isinstance(pattern, URLPattern)]
    for title, patterns in (
        ("The core: ftp_deploy.urls", core.urlpatterns),
        ("The dashboard: ftp_deploy.server.urls", server.urlpatterns),
        ("The stand-alone mode, beside both at the root, and admin/", own),
    ):
        yield from (title, "-" * len(title), "", *url_lines(patterns, ""))


WRITERS: dict[str, Callable[[], Lines]] = {
    "settings-reference": settings,
    "states-reference": states,
    "errors-reference": errors,
    "command-line-reference": command_line,
    "management-commands-reference": management_commands,
    "urls-reference": urls,
}


class Reference(SphinxDirective):
    """Puts what its writer yields in the place of the directive, read as reStructuredText."""

    def run(self) -> list[nodes.Node]:
        """Return the parsed lines."""
        lines = StringList(list(WRITERS[self.name]()), source=f"<{self.name}>")
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register one directive for each writer."""
    django.setup()
    for name in WRITERS:
        app.add_directive(name, Reference)
    return {"parallel_read_safe": True}
