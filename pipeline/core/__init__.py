"""The values, the error tree and the ports: floor 0, standard library only."""
