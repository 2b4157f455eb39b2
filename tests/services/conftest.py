"""Services start runs on paper."""

from tests.engine.conftest import paper_world

__all__ = ["paper_world"]
