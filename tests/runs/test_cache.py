from __future__ import annotations

import os
import time

import numpy as np
import pytest

from nbtransfer.runs import cache as module
from nbtransfer.runs.cache import CACHE_DIR, Cache

ARRAY = np.arange(12, dtype=np.float32).reshape(3, 4)


def fill(cache: Cache, key: str) -> None:
    with cache.new_array(key, ARRAY.shape) as array:
        array[:] = ARRAY


def test_an_array_is_found_again(runs_dir):
    fill(Cache(runs_dir), "frozen-1")
    found = Cache(runs_dir).array("frozen-1", ARRAY.shape)
    assert np.array_equal(found, ARRAY)
    assert Cache(runs_dir).array("frozen-2", ARRAY.shape) is None
    assert Cache(runs_dir).array("frozen-1", (3, 5)) is None


def test_two_that_fill_the_same_array_at_a_time_do_not_meet(runs_dir):
    cache = Cache(runs_dir)
    with cache.new_array("frozen-1", ARRAY.shape) as array:
        array[:] = ARRAY
        with cache.new_array("frozen-1", ARRAY.shape) as other:
            other[:] = 0.0
        assert np.array_equal(array, ARRAY)
    assert np.array_equal(cache.array("frozen-1", ARRAY.shape), ARRAY)


def test_an_array_that_was_not_filled_to_its_end_is_not_there(runs_dir):
    cache = Cache(runs_dir)
    with pytest.raises(KeyboardInterrupt), cache.new_array("frozen-1", ARRAY.shape):
        raise KeyboardInterrupt
    assert cache.array("frozen-1", ARRAY.shape) is None
    assert not list((runs_dir / CACHE_DIR).iterdir())


@pytest.mark.parametrize("keep", [0, 20, 48, 63])
def test_a_cut_array_is_not_there(runs_dir, keep):
    cache = Cache(runs_dir)
    fill(cache, "frozen-1")
    path = runs_dir / CACHE_DIR / "frozen-1"
    assert path.stat().st_size == 64
    path.write_bytes(path.read_bytes()[:keep])
    assert cache.array("frozen-1", ARRAY.shape) is None


def test_the_longest_unused_goes_when_the_cache_is_full(runs_dir, monkeypatch):
    monkeypatch.setattr(module, "_MOST_BYTES", 150)
    cache = Cache(runs_dir)
    for age, key in ((300, "a"), (200, "b")):
        fill(cache, key)
        then = time.time() - age
        os.utime(runs_dir / CACHE_DIR / key, (then, then))
    assert cache.array("a", ARRAY.shape) is not None  # used: now b is the oldest
    fill(cache, "c")
    assert sorted(p.name for p in (runs_dir / CACHE_DIR).iterdir()) == ["a", "c"]


def test_what_a_killed_process_left_is_removed_after_a_day(runs_dir):
    cache = Cache(runs_dir)
    fill(cache, "a")
    old, new = (runs_dir / CACHE_DIR / name for name in ("x.1.part", "y.2.part"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 1e6,) * 2)
    fill(cache, "b")
    assert not old.exists() and new.exists()


def keep(cache: Cache, key: str = "tokens-1") -> dict[str, np.ndarray]:
    """Keep several arrays of different types, two of which grow."""
    with cache.new_arrays(key) as new:
        new.append("a", ARRAY)
        new.append("b", np.arange(5, dtype=np.uint8))
        new.append("a", ARRAY[:1])
        new.append("none", np.zeros(0, np.int64))
        new.append("b", np.array([9], np.uint8))
        assert (new.num_rows("a"), new.num_rows("b"), new.num_rows("c")) == (4, 6, 0)
    return {
        "a": np.concatenate([ARRAY, ARRAY[:1]]),
        "b": np.array([0, 1, 2, 3, 4, 9], np.uint8),
        "none": np.zeros(0, np.int64),
    }


@pytest.mark.parametrize("read_bytes", [0, 10_000])
def test_arrays_grow_together_and_are_found_again(runs_dir, monkeypatch, read_bytes):
    monkeypatch.setattr(module, "_READ_BYTES", read_bytes)
    cache = Cache(runs_dir)
    wanted, found = keep(cache), cache.arrays("tokens-1")
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype and np.array_equal(found[name], array)
    found["b"][0] = 7  # one's own, whatever the file says
    assert cache.arrays("tokens-1")["b"][0] == 0
    assert [p.name for p in (runs_dir / CACHE_DIR).iterdir()] == ["tokens-1"]


def test_every_flipped_byte_of_several_arrays_is_noticed(runs_dir):
    cache = Cache(runs_dir)
    keep(cache)
    path = runs_dir / CACHE_DIR / "tokens-1"
    whole = path.read_bytes()
    unnoticed = []
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        if cache.arrays("tokens-1") is not None:
            unnoticed.append(place)
    assert unnoticed == list(range(70, 128))  # where nothing is, between two arrays


def test_arrays_that_were_not_finished_are_not_there(runs_dir):
    cache = Cache(runs_dir)
    with pytest.raises(KeyboardInterrupt), cache.new_arrays("tokens-1") as new:
        new.append("a", ARRAY)
        raise KeyboardInterrupt
    assert cache.arrays("tokens-1") is None
    assert not list((runs_dir / CACHE_DIR).iterdir())


def test_rows_of_another_type_are_refused(runs_dir):
    with pytest.raises(ValueError, match="a: float64"), Cache(runs_dir).new_arrays("x") as new:
        new.append("a", ARRAY)
        new.append("a", ARRAY.astype(float))


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path):
    (tmp_path / CACHE_DIR).write_text("in the way")
    cache = Cache(tmp_path)
    with pytest.raises(OSError):
        keep(cache)
    assert cache.arrays("tokens-1") is None


def test_names_that_could_lead_elsewhere_are_refused(runs_dir):
    with pytest.raises(AssertionError):
        Cache(runs_dir).arrays("../x")
