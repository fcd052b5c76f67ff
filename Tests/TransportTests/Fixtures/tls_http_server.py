"""A TLS server that speaks just enough HTTP/2 or HTTP/1.1 for one client: prints its port, then a line for each
connection and request. Ends when its standard input does.

Usage: tls_http_server.py certificate.pem key.pem h2|http/1.1|h2+together:N|h2+goaway:N
together: answers only once N streams of one connection wait, then all of them.
goaway: the first connection answers N requests, then says GOAWAY to the next one and answers nothing more.
"""
import os
import socket
import ssl
import struct
import sys
import threading

certificate, key, protocol = sys.argv[1:4]
protocol, _, mode = protocol.partition("+")
mode, _, number = mode.partition(":")
connections = 0
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
context.set_alpn_protocols([protocol])
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)


def exactly(stream, count):
    data = b""
    while len(data) < count:
        chunk = stream.recv(count - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return data


def frame(kind, flags, number, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", number) + payload


def answer(stream, number):
    print("request", flush=True)
    # 0x88 is ":status: 200" in HPACK's static table.
    stream.sendall(frame(1, 4, number, b"\x88") + frame(0, 1, number, b"over h2"))


def http2(stream, is_first):
    exactly(stream, 24)
    stream.sendall(frame(4, 0, 0, b""))
    waiting, answered, last, is_leaving = [], 0, 0, False
    while True:
        head = exactly(stream, 9)
        length = int.from_bytes(head[:3], "big")
        kind, flags, stream_id = head[3], head[4], int.from_bytes(head[5:], "big")
        exactly(stream, length)
        if kind == 4 and not flags & 1:
            stream.sendall(frame(4, 1, 0, b""))
        if kind not in (0, 1) or not flags & 1 or is_leaving:
            continue
        if mode == "goaway" and is_first and answered == int(number):
            # The last stream that was taken, and no error: what comes after it was never looked at.
            stream.sendall(frame(7, 0, 0, struct.pack(">II", last, 0)))
            print("goaway", flush=True)
            is_leaving = True
        elif mode == "together":
            waiting.append(stream_id)
            if len(waiting) == int(number):
                for waiter in waiting:
                    answer(stream, waiter)
                waiting = []
        else:
            answer(stream, stream_id)
            answered, last = answered + 1, stream_id


def http1(stream):
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            chunk = stream.recv(65536)
            if not chunk:
                return
            data += chunk
        data = data.split(b"\r\n\r\n", 1)[1]
        print("request", flush=True)
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nover h1")


def serve(client, is_first):
    try:
        stream = context.wrap_socket(client, server_side=True)
        print("connection", flush=True)
        if stream.selected_alpn_protocol() == "h2":
            http2(stream, is_first)
        else:
            http1(stream)
    except (OSError, EOFError):
        print("gone", flush=True)


def watch():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=watch, daemon=True).start()
while True:
    client, _ = listener.accept()
    threading.Thread(target=serve, args=(client, connections == 0), daemon=True).start()
    connections += 1
