"""Models: cards read in the kernel without torch, and loading in the worker."""
