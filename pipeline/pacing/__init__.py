"""When the next request may be sent."""
