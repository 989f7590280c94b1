"""What a rule is written in: one array at a time, right in every dtype."""
