"""Tools of servers that speak the Model Context Protocol, by the official package, which loading this does not load."""
