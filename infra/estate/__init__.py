"""What a student owns through an order: when it ends, how it is exported, and how it is taken along."""
