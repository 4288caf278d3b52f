"""From source bytes to the picture that is sent."""
