"""The stream jobs: how Faust is run (`engine`), the rules (`domain`), the wiring (`agents`)."""
