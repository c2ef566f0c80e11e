"""The field numbers, a module for each group and version; the notation is explained in `tiphys.api.machinery.protobuf.messages`."""
