"""`python -m tests.kit.rare_lookups consumer`: a consumer that looks the topic id up every 10 s instead of each second.

It stands for a busy broker or process: meanwhile the consumer may read on in a recreated topic.
"""

import sys

from service.handler.kafka.consumer.topic import id_lookup
from service.main import main

if __name__ == "__main__":
    id_lookup._INTERVAL_SECONDS = 10.0  # type: ignore[misc]
    sys.exit(main(sys.argv[1:]))
