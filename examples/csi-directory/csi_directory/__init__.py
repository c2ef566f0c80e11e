"""A CSI driver to learn from: volumes are directories, or disks in files, below one directory that all nodes share."""
