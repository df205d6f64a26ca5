"""Numbers with a range, as types: the command line checks them, and ``--help`` shows them."""

from math import inf

from jsonargparse.typing import restricted_number_type

Fraction = restricted_number_type("Fraction", float, [(">=", 0), ("<", 1)])
RandomState = restricted_number_type("RandomState", int, [(">=", 0), ("<", 2**32)])
FinitePositive = restricted_number_type("FinitePositive", float, [(">", 0), ("<", inf)])
FiniteNonNegative = restricted_number_type("FiniteNonNegative", float, [(">=", 0), ("<", inf)])
