"""What AG-UI's clients ask for: `HttpAgent` of `@ag-ui/client`, and all that speak like it."""

from chatorch.entrypoints.ag_ui.errors import AG_UI_ERRORS
from chatorch.entrypoints.ag_ui.routes import router
from chatorch.entrypoints.ag_ui.schemas import ConnectInput, Props, RunInput
from chatorch.entrypoints.common.door import Door
from chatorch.entrypoints.common.field_paths import Parameters

DOOR = Door(
    name="ag_ui",
    paths=("/api/ag-ui",),
    routes=tuple(router.routes),
    errors=AG_UI_ERRORS,
    fields=Parameters.of(RunInput, ConnectInput, Props),
)
