"""The link between the API and a storage driver: provisioning, attaching, resizing, snapshots and capacity."""
