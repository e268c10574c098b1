"""What the notebook shows: panels that follow a run folder, and the static records they leave."""
