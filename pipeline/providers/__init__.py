"""OpenAI-compatible servers: requests, answers, errors, usage."""
