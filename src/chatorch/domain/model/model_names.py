"""How a model is named: ``provider:model``, or the model alone."""

from dataclasses import dataclass

ANY_MODEL = "*"


@dataclass(frozen=True, slots=True)
class ModelAt:
    """A model, by the name that its provider knows, and that provider's."""

    provider: str
    model: str


@dataclass(frozen=True, slots=True)
class ModelNames:
    """The providers that there are, the default one first; its name may be empty.

    What stands before the first colon of a model's name is a provider only where one has this very name. So the models
    of the default one need nothing before them, be they called ``llama3:8b`` or ``ft:gpt-4o:org::id``, unless they
    begin like another provider: then its own name goes before them as well.
    """

    providers: tuple[str, ...] = ("",)

    def find(self, name: str) -> ModelAt:
        provider, colon, model = name.partition(":")
        if colon and provider and provider in self.providers:
            return ModelAt(provider, model)
        return ModelAt(self.providers[0], name)


ONE_PROVIDER = ModelNames()
