"""What is counted, and who may read it."""
