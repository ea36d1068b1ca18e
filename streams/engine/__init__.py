"""The stream processing engine: Faust agents that process whole fetches (design D3).

It contains no analytics, and uses only public APIs of Faust and aiokafka.
"""
