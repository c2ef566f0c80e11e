"""Control loops of Jobs: pods until enough of them have succeeded, and the pods that a Job leaves behind."""
