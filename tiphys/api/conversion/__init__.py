"""How objects of one group or version become those of another one that shares their storage. Pure; see `tiphys.api.machinery.scheme.Stored`."""
