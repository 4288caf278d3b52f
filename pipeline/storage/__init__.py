"""One door to bytes: local files and the HTTP transport."""
