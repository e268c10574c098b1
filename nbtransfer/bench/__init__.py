"""Measuring nbtransfer against transformers' Trainer on the machine at hand, side by side."""
