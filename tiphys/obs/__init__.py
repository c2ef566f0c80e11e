"""How Tiphys tells what it does: logging and metrics."""
