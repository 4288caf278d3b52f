"""Manifests: what is to be asked, split into shards that never change."""
