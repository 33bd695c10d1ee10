"""The JSON API of the student's pages: the same functions, the same words, the same throttles."""
