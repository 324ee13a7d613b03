"""The doors: thin. They stand on the extra ``chatorch[server]``; without it, importing any of them says so."""

from chatorch.entrypoints.extras import require_server

require_server()
