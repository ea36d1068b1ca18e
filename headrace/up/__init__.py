"""`headrace up`: starts, watches and ends the processes of one machine."""
