"""What chat does: one class a topic, talking to ports only."""
