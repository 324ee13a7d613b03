"""Who answers: one room a kind of provider, and what they share under `upstream`."""
