import sys
from pathlib import Path

TESTS = Path(__file__).parent.parent.parent
HERE = Path(__file__).parent
for folder in (HERE, TESTS / "safety", TESTS / "scenarios", TESTS / "unit" / "engine"):
    sys.path.insert(0, str(folder))
