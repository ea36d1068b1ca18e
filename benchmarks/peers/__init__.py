"""What headrace is measured beside."""
