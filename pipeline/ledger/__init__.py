"""The journal, the parts and the way back from them after a crash."""
