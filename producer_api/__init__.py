"""HTTP ingestion, the role `api`: writes events to Kafka and responds when Kafka confirms them.

See `parse.py` for validation, `accumulator.py` for batching, `app.py` for the routes and
`server.py` for the process.
"""
