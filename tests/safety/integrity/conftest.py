import sys
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parent.parent
for folder in (HERE, HERE.parent, TESTS / "unit" / "engine", TESTS / "scenarios"):
    sys.path.insert(0, str(folder))
