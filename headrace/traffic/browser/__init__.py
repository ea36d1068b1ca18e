"""`headrace demo --browser`: a browser that visits a small site with the tag."""
