"""The key file of the data directory, which encrypts secrets in the database."""

from headrace.errors import UserError
from headrace.local.data_dir import DataDir
from headrace.up.start_screen import Screen
from schemas.settings import SecretsSettings, Settings


def with_key_file(settings: Settings, data_dir: DataDir, screen: Screen) -> Settings:
    """Return the settings with the key file of the data directory, unless another one is set."""
    if settings.secrets.key_file:
        return settings
    is_new = data_dir.was_used and not data_dir.has_secrets_key
    path = str(data_dir.secrets_key())
    try:
        secrets = SecretsSettings(key_file=path)
    except ValueError:
        raise UserError(
            f"{path} must have a key on each line: 32 random bytes in URL-safe Base64. Restore "
            "it from a backup, or set HEADRACE_SECRETS__KEY_FILE"
        ) from None
    if is_new:
        screen.notify(
            f"created {path}, which encrypts the secrets of subscriptions; if you had one, "
            "restore it from a backup"
        )
    return settings.model_copy(update={"secrets": secrets})
