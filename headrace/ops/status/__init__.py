"""`headrace status`: collect the status, find problems, show both."""
