"""Tests of nbtransfer.runs.interrupts."""

import signal

import pytest

from nbtransfer.runs.interrupts import InterruptCounter


def test_interrupts_are_counted_and_the_third_is_raised():
    with pytest.raises(KeyboardInterrupt), InterruptCounter() as interrupts:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert interrupts.count == 2
        signal.raise_signal(signal.SIGINT)


def test_the_former_handler_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with InterruptCounter():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_a_counter_within_another_goes_on_from_its_count():
    with InterruptCounter():
        signal.raise_signal(signal.SIGINT)
        with InterruptCounter() as inner:
            assert inner.count == 1
