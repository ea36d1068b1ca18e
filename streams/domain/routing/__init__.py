"""Rules of routing: deduplication, routes by type, replays."""
