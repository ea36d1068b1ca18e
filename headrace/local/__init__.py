"""What belongs to this machine: data directory, files, child processes, broker."""
