import sys
from pathlib import Path

HERE = Path(__file__).parent
for folder in (HERE, HERE.parent, HERE.parent.parent / "unit" / "engine"):
    sys.path.insert(0, str(folder))
