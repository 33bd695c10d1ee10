"""The pages of one domain: what name servers show of its records, SPF, the DMARC policy, and what receivers ask."""
