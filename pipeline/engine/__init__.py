"""The flow: producer, preparation, calls, record. Knows only ports."""
