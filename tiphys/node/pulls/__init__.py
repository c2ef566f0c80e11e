"""Images for containers: policies, limits, credentials, and what was pulled with which of them ("Images")."""
