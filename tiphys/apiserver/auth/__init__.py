"""Who is calling and what they may do: authentication, authorisation and the review APIs. The map of it is in DESIGN.md."""
