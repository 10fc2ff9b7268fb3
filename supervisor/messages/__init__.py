"""The messages between actors: facts are named as facts, orders as orders.

A module for each actor, named as the actor is: what it may be told, and what it answers and
announces. `configuration` is the daemon's.
"""
