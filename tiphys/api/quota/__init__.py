"""Use of quotas by objects, and whether it is within them ("Resource Quotas"): pure, for admission and for the controller that recounts."""
