"""Questions about objects that several parts ask: what a pod requests, how ready it is, which addresses a Service keeps. All pure."""
