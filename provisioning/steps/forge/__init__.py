"""The steps of the `forge` stack: InfraForge makes domains and mailboxes, Salesforge holds them, Warmforge warms them up."""
