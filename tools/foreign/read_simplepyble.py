"""Reads a belt's standard services with simplepyble: prints JSON. Argument: address."""

import json
import sys
import time

import simplepyble

HEART_RATE, MEASUREMENT = "0000180d-0000-1000-8000-00805f9b34fb", "00002a37-0000-1000-8000-00805f9b34fb"
BATTERY, LEVEL = "0000180f-0000-1000-8000-00805f9b34fb", "00002a19-0000-1000-8000-00805f9b34fb"
DEVICE, MAKER = "0000180a-0000-1000-8000-00805f9b34fb", "00002a29-0000-1000-8000-00805f9b34fb"


def main() -> int:
    address = sys.argv[1].upper()
    adapter = simplepyble.Adapter.get_adapters()[0]
    found = None
    for _ in range(20):
        adapter.scan_for(3000)
        found = next((each for each in adapter.scan_get_results() if each.address().upper() == address), None)
        if found is not None:
            break
    if found is None:
        print("the belt was not found", file=sys.stderr)
        return 1
    found.connect()
    values = []
    found.notify(HEART_RATE, MEASUREMENT, lambda value: values.append(bytes(value)))
    maker = bytes(found.read(DEVICE, MAKER)).decode()
    battery = bytes(found.read(BATTERY, LEVEL))[0]
    until = time.monotonic() + 60
    while not values and time.monotonic() < until:
        time.sleep(0.1)
    found.disconnect()
    print(json.dumps({"maker": maker, "battery": battery, "heart_rate": values[0][1] if values else None}))
    return 0


sys.exit(main())
