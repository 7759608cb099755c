"""The training loop, its guards and its evaluation."""
