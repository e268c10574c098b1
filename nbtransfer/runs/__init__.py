"""The run folder: the disk format, the events in it, and the handle a notebook holds on it."""
