"""Alembic's migration environment. It ships in the package; `chatorch.adapters.sql.schema` runs it."""
