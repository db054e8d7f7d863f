from __future__ import annotations

import sys
from pathlib import Path

# the tests here share one module, and there are no packages among the tests
sys.path.insert(0, str(Path(__file__).parent))
