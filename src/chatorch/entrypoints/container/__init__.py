"""The composition root, a file a topic: `graph` puts together what the others choose."""

from chatorch.entrypoints.container.graph import Container as Container
