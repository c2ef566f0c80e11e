"""Scores: how well a pod would sit on each node, 0 to 100 each, then weighted and added.

The functions return whole numbers in float or integer vectors, rounded down where upstream rounds down, so that equal nodes come out
equal. Those whose scale depends on the other candidates return raw counts; `normalized` brings them to 0..100.
"""
