"""Data in the kernel, without torch: reading it, describing it, splitting it."""
