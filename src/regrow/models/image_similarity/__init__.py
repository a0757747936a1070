"""Whether two pictures show the same digit: Siamese networks."""
