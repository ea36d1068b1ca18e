"""`headrace status`: what is looked at, what it means, how it is shown."""
