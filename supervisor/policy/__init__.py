"""What the daemon itself has to do with the policy service, and what they have in common.

Where its package comes from, what it is started with, guests' tokens, and what it decided.
"""
