"""Prompts whose fixed part comes first and is byte-identical for every row."""
