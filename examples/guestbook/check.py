# SPDX-License-Identifier: Apache-2.0
"""The health check of the container: exits 0 when /health says 200."""

import http.client
import sys

connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=2)
connection.request("GET", "/health")
sys.exit(connection.getresponse().status != 200)
