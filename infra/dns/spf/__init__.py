"""SPF (RFC 7208).

syntax     a record as terms, and what is no record
evaluate   what one sender's address gets: the dynamic count, stops at the match
tree       all branches: the static count, the worst case; findings
flatten    addresses in place of names, on demand
"""
