"""Training on PyTorch and lightning: recipes, corpora, batches, losses, the loop."""
