"""Tests of nbtransfer.panels.interrupts."""

import signal

import pytest

from nbtransfer.panels.interrupts import InterruptCounter


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
