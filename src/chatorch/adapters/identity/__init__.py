"""Tokens and passwords, by the libraries that know how."""
