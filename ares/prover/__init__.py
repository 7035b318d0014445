"""`ares prove`: certificates that compiled layers are right for every input, and what they say."""
