"""The Pod Security Standards: what pods of each level must not do, by version of the standard (KEP-2579). Pure."""
