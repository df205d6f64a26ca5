"""Numbers with a range, as types: the command line checks them, and ``--help`` shows them."""

from jsonargparse.typing import restricted_number_type

Passes = restricted_number_type("Passes", int, [(">=", 1), ("<=", 10**12)])
Fraction = restricted_number_type("Fraction", float, [(">=", 0), ("<", 1)])
RandomState = restricted_number_type("RandomState", int, [(">=", 0), ("<", 2**32)])
# beyond which squares of points do not fit into 32 bits
FinitePositive = restricted_number_type("FinitePositive", float, [(">", 0), ("<", 1e30)])
FiniteNonNegative = restricted_number_type("FiniteNonNegative", float, [(">=", 0), ("<", 1e30)])
