"""How Faust is run here: whole fetches, tables as topics, acks, dead letters.

Knows nothing of analytics. It stands on internals of faust-streaming 0.15.3, the version that
is pinned; what it relies on is named in each class.
"""
