"""What each notebook took goes into the report of a test of it, and so into the summary."""

from __future__ import annotations

import pytest

from tests.notebooks import running


@pytest.fixture(autouse=True)
def what_it_took(record_property):
    """Hand on what was run for this test; after it, for its own fixtures may run a notebook."""
    yield
    while running.taken:
        record_property("notebook", running.taken.pop())
