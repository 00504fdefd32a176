"""Both of this part's comparisons, whole: what ``make plan-honesty`` runs here."""

import sys

import comparison
import zero

if __name__ == "__main__":
    sys.exit(max(comparison.main([]), zero.main([])))
