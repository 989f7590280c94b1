"""An optimizer is data: it remembers the call that made it."""
