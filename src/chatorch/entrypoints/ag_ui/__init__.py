"""AG-UI 1.0: a run and a thread as its events. https://docs.ag-ui.com, schemas as of `@ag-ui/core` 1.0."""
