"""Data ports: how to ask for one (EPSV of RFC 2428, or PASV), and when to ask for the next one."""

import ftplib
import socket

from ftp_deploy.exceptions import ConnectionFailed
from ftp_deploy.transports.ftp_control import Control
from ftp_deploy.transports.ftp_replies import Reply, refusal

UNCERTAIN_WAIT = 10.0
"""Seconds for what is tried for the first time on a server and may hang behind its firewall."""


def passive_command(control: Control) -> str:
    """Return how to ask for a data port: EPSV, or PASV where EPSV was learnt not to work."""
    return "PASV" if control.server.traits.epsv is False else "EPSV"


def ask_port(control: Control) -> int:
    """Ask for a data port and return its number."""
    control.send(passive_command(control))
    return read_port(control)


def read_port(control: Control) -> int:
    """Read the reply to ``passive_command``. The host that PASV names is not looked at."""
    server = control.server
    uncertain = server.traits.epsv is None
    try:
        reply = control.read_reply(UNCERTAIN_WAIT if uncertain else None)
    except ConnectionFailed:
        if uncertain and not control.aborted:
            server.doubt_epsv()
        raise
    if reply.code in (227, 229):
        return parse_port(control, reply)
    if server.traits.epsv is not False and reply.code >= 500 and control.peer.family == socket.AF_INET:
        server.learn(epsv=False)
        return ask_port(control)
    raise refusal(reply, "open a data connection")


def parse_port(control: Control, reply: Reply) -> int:
    """Return the port that a reply names. Raises ``ConnectionFailed`` for one that names none."""
    line = str(reply)
    host = control.target.host
    try:
        host_and_port = (
            ftplib.parse229(line, (control.peer.host, 0))  # noqa: S321
            if reply.code == 229
            else ftplib.parse227(line)  # noqa: S321
        )
        port = int(host_and_port[1])
    except (ftplib.Error, ValueError) as error:
        raise ConnectionFailed(f"{host} named no data port: {reply}.", reply=line) from error
    if not 0 < port < 65536:
        raise ConnectionFailed(f"{host} named no data port: {reply}.", reply=line)
    return port
