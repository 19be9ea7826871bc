"""What a domain of this server publishes in the DNS: records, why, and what is wrong with them."""
