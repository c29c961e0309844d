"""The last door before a server: which paths may stand in a command, and how they look there.

The plan has checked the names of the repository already. These checks are made again, on the final path, right before
a command is built, so that no way into a transport leads around them. FTP is a line protocol: a name with CR or LF
would be a second command.
"""

from ftp_deploy.exceptions import UnsafePath

LONGEST_NAME = 255
LONGEST_PATH = 4000


def check(path: str) -> str:
    """Return ``path`` unchanged if it may be sent to a server; it is relative to the target's own path.

    Raises ``UnsafePath``, naming the path and what is wrong with it.
    """
    problem = _problem(path)
    if problem:
        raise UnsafePath(f"{path!r} cannot be sent to a server: {problem}.")
    return path


def join(root: str, path: str) -> str:
    """Return the path that stands in a command: ``root``, which ends in no slash, and the checked ``path``.

    An empty ``path`` is the root itself. Raises ``UnsafePath``.
    """
    if not path:
        return root or "/"
    return f"{root}/{check(path)}"


def normal_root(path: str, login_directory: str = "/") -> str:
    """Return a target's path as an absolute one without a slash at its end; the server's root becomes "".

    A relative path counts from the directory that the server puts us in at login. Raises ``UnsafePath`` for control
    characters and "..".
    """
    full = path if path.startswith("/") else f"{login_directory}/{path}"
    parts = [part for part in full.split("/") if part not in ("", ".")]
    for part in parts:
        problem = _component_problem(part)
        if problem:
            raise UnsafePath(f"The path {path!r} of the service cannot be used: {problem}.")
    return "".join(f"/{part}" for part in parts)


def _problem(path: str) -> str:
    if path.startswith("/"):
        return "it is absolute"
    if len(path.encode("utf-8", "surrogatepass")) > LONGEST_PATH:
        return f"it is longer than {LONGEST_PATH} bytes"
    for component in path.split("/"):
        problem = _component_problem(component)
        if problem:
            return problem
    return ""


def _component_problem(component: str) -> str:
    if component == "":
        return "a part of it is empty"
    if component in (".", ".."):
        return f"a part of it is {component!r}"
    if any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in component):
        return "it holds a control character"
    try:
        size = len(component.encode())
    except UnicodeEncodeError:
        return "it is not valid UTF-8"
    if size > LONGEST_NAME:
        return f"a part of it is longer than {LONGEST_NAME} bytes"
    return ""
