"""For who comes without knowing what is here: the service itself, and its operations."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from chatorch import __version__
from chatorch.entrypoints.api.html import MEDIA_TYPE, described, link, page
from chatorch.entrypoints.common.negotiation import prefers
from chatorch.entrypoints.common.prefix import public_path
from chatorch.entrypoints.common.run_responses import JSON
from chatorch.entrypoints.common.service import SERVICE
from chatorch.entrypoints.common.views import json_response

WHAT = "A chat backend: threads, messages, and answers of a model, streamed."
LINKS = {
    "docs": ("/docs", "every operation"),
    "openapi": ("/openapi.json", "the same for programs"),
    "health": ("/health", "how it is"),
    "token": ("/token", "where a user name and a password become an access token (POST)"),
    "chat": ("/api/chat/protected", "where messages go (POST)"),
}

router = APIRouter(include_in_schema=False)


@router.head("/")
@router.get("/")
async def home(request: Request) -> Response:
    """What this is, and where to go on: a page for who prefers one, as browsers do."""
    links = {name: (public_path(request.scope, path), text) for name, (path, text) in LINKS.items()}
    if prefers(request.headers.getlist("accept"), MEDIA_TYPE, over=JSON):
        listed = "".join(f"<li>{link(address, address)}: {text}</li>" for address, text in links.values())
        return page("chatorch", f"<h1>chatorch {__version__}</h1><p>{WHAT}</p>", f"<ul>{listed}</ul>")
    addresses = {name: address for name, (address, _) in links.items()}
    body = {"service": SERVICE, "name": "chatorch", "version": __version__, "description": WHAT, "links": addresses}
    response = json_response(body)
    response.headers["Vary"] = "Accept"
    return response


@router.head("/docs")
@router.get("/docs")
async def docs(request: Request) -> Response:
    """Every operation, from the document at `/openapi.json`."""
    document = link(public_path(request.scope, "/openapi.json"), "openapi.json")
    parts = described(request.app.openapi())
    return page("chatorch: operations", "<h1>Operations</h1>", f"<p>For programs: {document}</p>", *parts)
