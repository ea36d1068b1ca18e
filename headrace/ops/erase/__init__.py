"""`headrace erase`: delete what is stored about a person, or a site."""
