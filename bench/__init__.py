"""What a token costs here, beside what it costs elsewhere, in the same run. `python -m bench --help`."""
