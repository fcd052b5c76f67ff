#!/usr/bin/python3
"""Sends each delivery of a file (`neff sandbox deliveries`) once, over 16 connections. Usage: send_once.py FILE HOST:PORT"""

import http.client
import sys
import threading

lines = iter(open(sys.argv[1], encoding="utf-8").read().splitlines())
lock = threading.Lock()
refused = []


def lane():
    connection = http.client.HTTPConnection(sys.argv[2], timeout=30)
    while True:
        with lock:
            line = next(lines, None)
        if line is None:
            return
        signature, body = line.split("\t", 1)
        headers = {"Calendly-Webhook-Signature": signature, "Content-Type": "application/json"}
        connection.request("POST", "/webhooks/calendly", body.encode(), headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 202:
            refused.append(answer.status)


threads = [threading.Thread(target=lane) for _ in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if refused:
    sys.exit(f"{len(refused)} deliveries were not accepted: {sorted(set(refused))}")
