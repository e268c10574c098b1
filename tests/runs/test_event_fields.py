"""Tests of nbtransfer.runs.event_fields: no content of a log ends in a traceback (promise R25)."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbtransfer.errors import NbTransferError
from nbtransfer.panels.chart import chart_info, chart_svg
from nbtransfer.panels.record import card_bundle
from nbtransfer.panels.run_view import elapsed_s
from nbtransfer.panels.runs_panel import run_row
from nbtransfer.runs.event_fields import FIELDS, is_whole
from nbtransfer.runs.events import read_events
from nbtransfer.runs.run import Run
from nbtransfer.runs.state import RunState, fold
from tests.panels.live_runs import about
from tests.runs.folders import make_run, resumed, step

LOG = Path(__file__).parents[1] / "assets" / "runs" / "v0.1" / "events.jsonl"
EVENTS = [json.loads(line) for line in LOG.read_text().splitlines()]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose log the examples write."""
    return make_run(tmp_path_factory.mktemp("runs"))


def look_at(run):
    """Everything that is said of a run from its log."""
    run = Run(run.dir)
    state = run.state()
    run.metrics(), repr(run), run_row(run)
    for status in ("running", "failed", "lost", "completed"):
        card_bundle(about(), state, status, run.dir)
        elapsed_s(state, status, 2e9)
    chart_svg(chart_info(state, 0.5, 12))
    with contextlib.suppress(NbTransferError):
        run.raise_if_failed()


def write(run, events):
    run.paths.events.write_text("".join(json.dumps(event) + "\n" for event in events))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_log_with_any_values_in_it_is_shown(run, data):
    """One or two values of a real log are replaced by anything that JSON can hold, or left out."""
    events = [dict(event) for event in EVENTS]
    for _ in range(data.draw(st.integers(1, 2))):
        event = events[data.draw(st.integers(0, len(events) - 1))]
        name = data.draw(st.sampled_from(sorted(event)))
        if data.draw(st.booleans()):
            del event[name]
        else:
            event[name] = data.draw(JSON)
        if not event:
            event["seq"] = 0
    write(run, events)
    look_at(run)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_events_in_any_order_and_number_are_shown(run, data):
    chosen = data.draw(st.lists(st.sampled_from(EVENTS), max_size=20))
    write(run, [{**event, "seq": number} for number, event in enumerate(chosen)])
    look_at(run)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_a_known_event_without_its_fields_changes_nothing_but_the_time(name):
    state = fold([{"seq": 3, "time": 5.0, "type": name}])
    nothing_asked = all(check(None) for check in FIELDS[name].values())
    if not nothing_asked:
        assert state == RunState(last_seq=3, last_time=5.0)


def test_every_event_of_a_real_log_is_whole():
    assert all(is_whole(event) for event in read_events(LOG))


def test_what_follows_a_damaged_event_counts():
    events = [step(1), ("step_completed", {"step": 2}), step(3)]
    records = [{"seq": n, "time": 1.0, "type": t, **f} for n, (t, f) in enumerate(events)]
    assert [row.step for row in fold(records).steps] == [1, 3]


def test_what_the_fold_handles_is_what_has_fields():
    handled = {n.removeprefix("_on_") for n in dir(RunState) if n.startswith("_on_")}
    assert handled == set(FIELDS)


def test_a_field_a_newer_version_adds_is_no_damage():
    name, fields = resumed(4)
    assert is_whole({"type": name, **fields, "weather": [1, 2]})
