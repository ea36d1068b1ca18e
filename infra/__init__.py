"""How headrace is run: its command, the local broker, topics."""
