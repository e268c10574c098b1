"""One file per NLP task: its columns, checks, labels and metrics."""
