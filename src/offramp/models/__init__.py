"""Networks, the exits attached to them, and the one path through both."""
