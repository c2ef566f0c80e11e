"""Control loops of VolumeAttachments: volumes are attached where pods need them, and detached where nothing uses them any more."""
