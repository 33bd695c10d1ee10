"""The pages on which students connect accounts of their own, and enter what they made there by hand."""
