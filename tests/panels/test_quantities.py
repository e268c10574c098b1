import pytest

from nbtransfer.panels.quantities import (
    bytes_text,
    count_text,
    duration_text,
    rate_text,
    share_text,
)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0:00"), (6.2, "0:07"), (118, "1:58"), (3599.5, "1:00:00"), (7500, "2:05:00")],
)
def test_a_duration_reads_as_a_clock(seconds, words):
    assert duration_text(seconds) == words


@pytest.mark.parametrize(
    ("num_bytes", "words"),
    [(512, "512 B"), (1_100_000_000, "1.1 GB"), (87_400_000, "87 MB"), (999_700, "1.0 MB")],
)
def test_bytes_take_the_unit_that_keeps_the_figure_short(num_bytes, words):
    assert bytes_text(num_bytes) == words


def test_a_tiny_share_is_not_written_as_none():
    assert share_text(0.0001) == "< 0.1 %"
    assert share_text(0.0) == "0.0 %"
    assert share_text(0.019) == "1.9 %"


def test_large_counts_are_short_and_small_ones_exact():
    assert [count_text(n) for n in (950, 30_522, 22_713_216, 1_300_000_000)] == [
        "950",
        "30,522",
        "22.7 M",
        "1.3 B",
    ]


def test_a_learning_rate_has_two_digits():
    assert rate_text(1e-4) == "1.0e-4"
