"""Authentication, authorization and the review APIs. The map of it is in DESIGN.md."""
