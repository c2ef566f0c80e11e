"""The Common Expression Language: type checking, bounds of cost, evaluation."""
