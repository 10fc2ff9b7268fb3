"""What the daemon itself has to do with the policy service, and what they have in common.

Where its package comes from, what it is started with, the policy document, guests' tokens, and what
it decided. The daemon knows nothing else of it: it is a process (supervisor/policy_service, or
supervisor/hosted_policy for somebody else's).
"""
