"""What is asked of a picture, and how an answer becomes columns."""
