"""A loopback OpenAI-compatible server over small bundled models."""
