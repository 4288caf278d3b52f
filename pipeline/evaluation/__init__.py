"""Judges answers by what is known of their pictures, and tells a change from noise."""
