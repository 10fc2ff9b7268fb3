"""HTTP, whoever speaks it: the server that actors have, and the proxies we ask through."""
