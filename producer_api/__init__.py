"""HTTP in, the role `api`: an event's bytes become a RawEvent in Kafka, then an answer.

Read `parse.py` for what an event must be, `accumulator.py` for how it reaches Kafka, `app.py`
for the paths, and `server.py` for how the role is run.
"""
