"""What a person sees: progress, the closing table, the data set card."""
