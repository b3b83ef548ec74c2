"""What every wing's training shares: the loop, looks, copies, and the outside of a run. No framework."""
