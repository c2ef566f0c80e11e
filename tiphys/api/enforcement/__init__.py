"""Effect of each field of a pod, of storage, a Service or a policy in this cluster: one declaration, from which all else is derived.

A field is enforced, refused or dropped when an object is created, accepted with a warning, or it only informs. From the tables come the
warnings at creation (`warn`), the page `docs/enforcement.md` (`document`), and the tests that hold the tables against types, code and API
server.
"""
