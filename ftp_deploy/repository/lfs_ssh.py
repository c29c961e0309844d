"""Git LFS of a repository that is read over ssh: the server is asked where its objects are and how to log in there.

See ``docs/api/server-discovery.md`` of Git LFS: the command is ``git-lfs-authenticate <path> download``.
"""

import json
import re

from ftp_deploy.exceptions import RepositoryError, RepositoryLoginRefused, RepositoryMissing, RepositoryUnavailable
from ftp_deploy.repository.base import GitSource, ssh_address
from ftp_deploy.repository.git_ssh import quoted, run_for_answer
from ftp_deploy.repository.lfs_http import Link, clean_headers, endpoint_of, is_address

LARGEST_ANSWER = 64 * 1024
PLAIN = re.compile(r"[\w.~/@+-]+\Z", re.ASCII)
"""A path that a shell and a forge's own reader of commands take for one word."""
UNKNOWN = ("command not found", "unknown command", "not found", "invalid command", "disallowed", "what do you think")
"""What a server writes that does not know the command."""


def authenticate(source: GitSource) -> Link:
    """Return the Git LFS endpoint, with the header fields that log in.

    A server that does not know the command may still give its objects to everybody, over https at the usual address.
    """
    path = ssh_address(source.url).path
    word = path if PLAIN.match(path) and not path.startswith("-") else quoted(path)
    try:
        said = run_for_answer(source, f"git-lfs-authenticate {word} download", LARGEST_ANSWER)
    except RepositoryLoginRefused:
        raise
    except (RepositoryMissing, RepositoryUnavailable) as error:
        if any(words in error.message.lower() for words in UNKNOWN):
            return Link(endpoint_of(source.url))
        raise
    return read_answer(said, source)


def read_answer(said: bytes, source: GitSource) -> Link:
    """Read what the command answered. Raises ``RepositoryError``."""
    try:
        answer = json.loads(said)
        href, headers = answer["href"], answer.get("header") or {}
        good = href.startswith(("https://", "http://")) and is_address(href) and isinstance(headers, dict)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        good = False
    if not good:
        raise RepositoryError(f"Git LFS of {source.shown_url}: the server's answer to git-lfs-authenticate is not one.")
    if href.startswith("http:") and must_be_encrypted(source):
        raise RepositoryError(f"Git LFS of {source.shown_url}: the server names an address that is not encrypted.")
    return Link(href.rstrip("/"), clean_headers(headers))


def must_be_encrypted(source: GitSource) -> bool:
    """Whether objects may come over https only: where the repository does, unless its server is a private one."""
    return source.url.startswith("https:") or (source.is_ssh and not source.allow_private_addresses)
