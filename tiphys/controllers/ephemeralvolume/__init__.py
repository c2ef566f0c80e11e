"""Control loop of generic ephemeral volumes: claims that live as long as their pod."""
