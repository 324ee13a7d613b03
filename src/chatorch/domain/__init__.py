"""What chat is (`model`) and what chat does (`services`). Standard library only."""
