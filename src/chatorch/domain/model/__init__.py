"""What chat is: frozen dataclasses and pure rules, without input or output."""
