"""The peers that headrace is compared with."""
