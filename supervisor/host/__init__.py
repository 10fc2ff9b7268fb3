"""What a host has for runners: what it is prepared with, its pool of storage, what is left."""
