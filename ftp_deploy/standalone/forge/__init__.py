"""A small real forge on loopback, for the demo and the tests: git over smart HTTP, GitHub's REST API, signed hooks."""

from ftp_deploy.standalone.forge.deliveries import Delivery
from ftp_deploy.standalone.forge.forge import Forge

__all__ = ["Delivery", "Forge"]
