"""Machinery that works for every kind and knows none: types, codecs, patches, field ownership, errors, quantities, selectors."""
