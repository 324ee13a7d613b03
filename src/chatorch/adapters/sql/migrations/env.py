"""Runs the steps on the connection that it is given, in that connection's transaction."""

from alembic import context

from chatorch.adapters.sql.tables import metadata

connection = context.config.attributes["connection"]
# SQLite cannot change most of a table in place, so Alembic makes it anew ("batch").
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
