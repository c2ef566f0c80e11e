"""Control loops of PersistentVolumes and their claims: binding, and what happens to volumes whose claim is gone."""
