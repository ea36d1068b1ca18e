"""`headrace topics cat`: print the decoded records of a topic."""
