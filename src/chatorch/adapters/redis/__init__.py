"""Several processes as one service: what live runs say, who watches them, and who is connected."""
