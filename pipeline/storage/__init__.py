"""One door to bytes: local files, the web, object stores, and the HTTP transport."""
