"""`headrace replay`: send recorded events over HTTP."""
