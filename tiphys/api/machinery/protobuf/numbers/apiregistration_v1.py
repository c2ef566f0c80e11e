"""Field numbers of apiregistration/v1, written by tools/protobuf_numbers.py."""

MESSAGES = """
APIService metadata spec status
APIServiceCondition type status lastTransitionTime reason message
APIServiceSpec service group version insecureSkipTLSVerify caBundle - groupPriorityMinimum versionPriority
APIServiceStatus conditions
ServiceReference namespace name port
"""
