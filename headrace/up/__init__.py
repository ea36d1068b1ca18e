"""`headrace up`: start, supervise and stop all processes on one machine."""
