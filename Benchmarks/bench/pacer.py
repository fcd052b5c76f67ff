"""Sends signed webhooks at a fixed rate, whatever the answers take, and notes when each was accepted."""

import http.client
import json
import threading
import time


def send(lines, port, rate, lanes=32):
    """Returns {customer's address: Unix time of the 202}, and how many were not accepted."""
    accepted, refused = {}, 0
    lock = threading.Lock()
    turns = iter(enumerate(lines))
    start = time.monotonic() + 0.2

    def lane():
        nonlocal refused
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while True:
            with lock:
                number, line = next(turns, (None, None))
            if line is None:
                return
            signature, body = line.rstrip("\n").split("\t", 1)
            time.sleep(max(0, start + number / rate - time.monotonic()))
            connection.request("POST", "/webhooks/calendly", body.encode(), {
                "Calendly-Webhook-Signature": signature, "Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            at = time.time()
            with lock:
                if answer.status == 202:
                    accepted[json.loads(body)["payload"]["email"]] = at
                else:
                    refused += 1

    threads = [threading.Thread(target=lane) for _ in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return accepted, refused
