"""What Zahlwerk speaks, one package for each interface; none knows another."""
