"""Fill the store once."""

import os
from urllib.request import urlopen

for good in ("bread", "cheese"):
    with urlopen(f"http://{os.environ['ORCH_SERVICE_DB']}/", data=good.encode(), timeout=5):
        print("added", good)
