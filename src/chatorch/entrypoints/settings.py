"""What an operator can set: one plain, frozen model."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from chatorch.entrypoints import mcp_settings, provider_settings
from chatorch.entrypoints.extras import lacks
from chatorch.entrypoints.mcp_settings import McpServers
from chatorch.entrypoints.provider_settings import OPENAI_SETTINGS, Provider, Providers
from chatorch.entrypoints.setting_types import (
    SWITCHED_DOORS,
    Count,
    DatabaseUrl,
    Days,
    DoorNames,
    HeaderNames,
    HeaderSecret,
    Hours,
    HttpUrl,
    KeyPrefix,
    LogLevel,
    MaybeSeconds,
    Names,
    Origins,
    Proxies,
    RedisUrl,
    Seconds,
    SigningKey,
    ToolRules,
    WholeSeconds,
    Workflows,
)

PREFIX = "CHATORCH_"


class Settings(BaseSettings):
    """Building one reads nothing but its arguments; `chatorch.entrypoints.load_settings` reads the environment.

    A field's name in the environment is its own in capitals behind ``CHATORCH_``, or its alias. Durations are in
    seconds, sizes in bytes, lists separated by commas.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", populate_by_name=True, hide_input_in_errors=True
    )

    secret_key: SigningKey = Field(validation_alias="SECRET_KEY")
    openai_api_key: HeaderSecret | None = Field(None, validation_alias="OPENAI_API_KEY")
    openai_base_url: HttpUrl | None = Field(None, validation_alias="OPENAI_BASE_URL", repr=False)
    database_url: DatabaseUrl = Field("sqlite:///./chat.db", validation_alias="DATABASE_URL", repr=False)
    redis_url: RedisUrl | None = Field(None, validation_alias="REDIS_URL", repr=False)
    debug: bool = Field(False, validation_alias="DEBUG")

    model: str = Field("gpt-5.4-mini", max_length=128)
    allowed_models: Names = frozenset()
    providers: Providers = ()
    system_prompt: str | None = None
    context_chars: Count = 48_000
    send_reasoning: bool = False
    doors: DoorNames | None = None
    anonymous_chat: bool = False
    client_system: bool = True
    max_content_chars: Count = 2000
    max_live_runs_per_user: Count = 8
    max_connections_per_user: Count = 20
    max_followers_per_user: Count = 200
    max_live_guest_runs: Count = 50
    max_live_guest_runs_per_address: Count = 5
    guest_requests_per_minute: Count = 10
    guest_retention_hours: Hours = 24
    unstored_days: Days = 1
    max_guest_threads: Count = 10_000
    max_answer_chars: Count = 1_000_000

    max_steps: Count = 8
    tools: ToolRules = ("*",)
    tools_need_approval: ToolRules = ()
    tools_at_once: Count = 4
    tool_timeout_s: Seconds = 60
    max_tool_result_chars: Count = 50_000

    detach_grace_s: Seconds = 30
    first_piece_timeout_s: Seconds = 60
    idle_timeout_s: Seconds = 30
    total_timeout_s: Seconds = 600
    drain_limit_s: Seconds = 20
    lease_s: Seconds = 5
    continue_within_s: MaybeSeconds = 300
    takeovers_at_once: Count = 20
    checkpoint_s: Seconds = 1

    mcp_servers: McpServers = ()
    mcp_file: str | None = None
    mcp_max_message_bytes: Count = 1_048_576

    access_token_life_s: WholeSeconds = 1800
    wrong_passwords_per_user: Count = 10
    wrong_passwords_per_address: Count = 20
    wrong_passwords_window_s: Seconds = 600
    token_issuer: str = "chatorch"  # noqa: S105
    token_audience: str = "chatorch"  # noqa: S105
    cors_origins: Origins = frozenset()
    cors_headers: HeaderNames = frozenset()
    trusted_proxies: Proxies = frozenset()
    metrics_token: HeaderSecret | None = None

    ws_auth_deadline_s: Seconds = 10
    ws_flood_limit: Count = 100
    ws_queue_bytes: Count = 1_048_576
    ws_deflate: bool = False

    chatkit_hosted: bool = True
    chatkit_workflows: Workflows = ()
    chatkit_session_life_s: WholeSeconds = 600
    chatkit_refresh_window_s: WholeSeconds = 600
    chatkit_sessions_per_user: Count = 20
    chatkit_requests_per_minute: Count = 10
    chatkit_file_upload: bool = False
    chatkit_max_files: Count | None = None
    chatkit_max_file_mb: Annotated[int, Field(gt=0, le=512)] | None = None
    chatkit_history: bool = True
    chatkit_recent_threads: Count | None = None
    chatkit_timeout_s: Annotated[float, Field(gt=0, le=45)] = 15
    chatkit_server: bool | None = None

    log_format: Literal["json", "console"] | None = None
    log_level: LogLevel = "info"
    body_cap_bytes: Count = 1_048_576
    max_connections: Count | None = None
    max_connections_per_address: Count | None = None
    db_pool_size: Count = 5
    redis_prefix: KeyPrefix = "chatorch:"
    password_workers: Count = 2
    tool_threads: Count = 8

    @property
    def heartbeat_timeout_s(self) -> float:
        """For a statement of one: where its connection is dead, there is time within the lease for another one."""
        return (self.lease_s - self.checkpoint_s) * 0.4

    @property
    def offline(self) -> bool:
        """No provider is named, so the offline model answers."""
        return not self.chat_providers

    @property
    def chat_providers(self) -> tuple[Provider, ...]:
        """Whom to ask for an answer, the default one first."""
        usual = Provider("", self.openai_base_url, self.openai_api_key, frozenset(), OPENAI_SETTINGS)
        if self.providers:
            return tuple(one.or_else(usual, is_default=one == self.providers[0]) for one in self.providers)
        return () if usual.base_url is None and usual.api_key is None else (usual,)

    @property
    def takes_neighbours(self) -> bool:
        """Whether a provider is known to take several messages of one role in a row, or there is none."""
        return self.offline or any(one.takes_neighbours for one in self.chat_providers)

    @property
    def unused(self) -> tuple[str, ...]:
        """Settings of OpenAI's that nothing goes by, since the first of several providers has its own."""
        given = {"OPENAI_API_KEY": self.openai_api_key, "OPENAI_BASE_URL": self.openai_base_url}
        if not self.providers or not self.providers[0].is_placed or self.chatkit_workflows:
            return ()
        return tuple(name for name, value in given.items() if value is not None)

    @property
    def chatkit_missing(self) -> str | None:
        """The setting without which there is no hosted ChatKit."""
        if self.openai_api_key is None:
            return "OPENAI_API_KEY"
        return None if self.chatkit_workflows else f"{PREFIX}CHATKIT_WORKFLOWS"

    def opens(self, door: str) -> bool:
        """Whether the door of this name may be there: all are, unless some are named."""
        return self.doors is None or door in self.doors or door not in SWITCHED_DOORS

    @property
    def serves_chatkit(self) -> bool:
        """`POST /chatkit` is there, by default where its package is."""
        return self.chatkit_server if self.chatkit_server is not None else lacks("chatkit") is None

    @model_validator(mode="after")
    def _extras_are_installed(self) -> Self:
        needed = {
            "postgres": ("DATABASE_URL: PostgreSQL", not self.database_url.startswith("sqlite")),
            "redis": ("REDIS_URL: Redis", self.redis_url is not None),
            "chatkit": (f"{PREFIX}CHATKIT_SERVER: ChatKit", bool(self.chatkit_server)),
            "mcp": (f"{PREFIX}MCP_SERVERS: MCP", bool(self.mcp_servers)),
        }
        for extra, (what, asked) in needed.items():
            if asked and (advice := lacks(extra)):
                raise ValueError(f"{what} is not installed: {advice}")
        return self

    @model_validator(mode="after")
    def _providers_can_be_asked(self) -> Self:
        usual = self.openai_api_key is not None or self.openai_base_url is not None
        provider_settings.require_placed(self.providers, usual=usual)
        for setting, models in (("MODEL", {self.model}), ("ALLOWED_MODELS", self.allowed_models)):
            provider_settings.require_models(self.providers, PREFIX + setting, models)
        return self

    @model_validator(mode="after")
    def _mcp_servers_can_be_asked(self) -> Self:
        mcp_settings.require_placed(self.mcp_servers)
        return self

    @model_validator(mode="after")
    def _heartbeats_fit_into_the_lease(self) -> Self:
        if self.lease_s < 2 * self.checkpoint_s:
            raise ValueError(f"{PREFIX}LEASE_S: must be at least twice {PREFIX}CHECKPOINT_S")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)
