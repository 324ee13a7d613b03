"""WebSockets as every door has them: the wire, who is let in, how much may come, and when it is over."""
