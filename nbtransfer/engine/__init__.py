"""The worker process: training, evaluation and prediction with torch."""
