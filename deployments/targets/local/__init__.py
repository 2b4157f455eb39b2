"""Everything for real on this machine: a Redis server, a package and a function process for each deployment."""

from .children import stop_all

__all__ = ["stop_all"]
