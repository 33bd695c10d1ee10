"""What a student sees after the order: the way in, progress, the running infrastructure."""
