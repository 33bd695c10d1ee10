"""The rules of DNS for mail. Pure but for `resolver.ask`: data goes in, findings come out; no Django, no HTTP.

names        one spelling for each name
records      one canonical form of a record; equal means the same, however it was written
resolver     what a name server is asked and answers, five outcomes kept apart; the one way out to the network
propagation  which of several resolvers see what should be there
delegation   where a domain's own servers are
spf          what one sender gets, all that a record leads to, changes, addresses in place of names
dkim, dmarc, mx, tls   the other records of mail, judged
compliance   what Gmail, Yahoo and Outlook ask, with three values
message      what a received message proves, and whose verdict in it counts
plan         what to change in a zone, refused if unsafe
findings     what is wrong: stable ids, the standard, the way out
"""
