"""One process, nothing kept: for embedding without a database, and for tests."""
