"""Measurements of the whole product against the least that the same work can cost, in one run on one machine."""
