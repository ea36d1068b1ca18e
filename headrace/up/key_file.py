"""The key file of the data directory, which encrypts secrets in the database."""

from headrace.local.data_dir import DataDir
from headrace.up.start_screen import Screen
from schemas.settings import Settings


def with_key_file(settings: Settings, data_dir: DataDir, screen: Screen) -> Settings:
    """Return the settings with the key file of the data directory, unless another one is set."""
    if settings.secrets.key_file:
        return settings
    is_new = data_dir.was_used and not data_dir.has_secrets_key
    path = data_dir.secrets_key()
    if is_new:
        screen.notify(
            f"created {path}, which encrypts the secrets of subscriptions; if you had one, "
            "restore it from a backup"
        )
    return settings.model_copy(update={"secrets": data_dir.secrets()})
