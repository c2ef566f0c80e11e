"""Control loop that deletes finished Jobs after their time to live."""
