"""What objects use of a quota, and whether it is enough ("Resource Quotas"): pure, for admission and for the controller that recounts."""
