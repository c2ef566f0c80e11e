"""Field numbers of events/v1, written by tools/protobuf_numbers.py."""

MESSAGES = """
Event metadata eventTime series reportingController reportingInstance action reason regarding related note type
  deprecatedSource deprecatedFirstTimestamp deprecatedLastTimestamp deprecatedCount
EventSeries count lastObservedTime
"""
