"""Verbs of the API, a module each, and the pipeline that writes share."""
