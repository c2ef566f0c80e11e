"""One pod on the node: worker, plan, status, actions, admission, allocated resources and resizes."""
