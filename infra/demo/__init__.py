"""Simulated visitors of a made-up shop, for `headrace demo`. The model is pure; `run` sends."""
