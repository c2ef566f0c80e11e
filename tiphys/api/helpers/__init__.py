"""Facts about objects that several parts need: a pod's requests and readiness, addresses that a Service keeps. All pure."""
