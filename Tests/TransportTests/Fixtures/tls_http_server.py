"""A TLS server that speaks just enough HTTP/2 or HTTP/1.1 for one client: prints its port, then a line for each
connection and request. Ends when its standard input does.

Usage: tls_http_server.py certificate.pem key.pem h2|http/1.1
"""
import os
import socket
import ssl
import struct
import sys
import threading

certificate, key, protocol = sys.argv[1:4]
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


def http2(stream):
    exactly(stream, 24)
    stream.sendall(frame(4, 0, 0, b""))
    while True:
        head = exactly(stream, 9)
        length = int.from_bytes(head[:3], "big")
        kind, flags, number = head[3], head[4], int.from_bytes(head[5:], "big")
        exactly(stream, length)
        if kind == 4 and not flags & 1:
            stream.sendall(frame(4, 1, 0, b""))
        if kind in (0, 1) and flags & 1:
            print("request", flush=True)
            # 0x88 is ":status: 200" in HPACK's static table.
            stream.sendall(frame(1, 4, number, b"\x88") + frame(0, 1, number, b"over h2"))


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


def serve(client):
    try:
        stream = context.wrap_socket(client, server_side=True)
        print("connection", flush=True)
        (http2 if stream.selected_alpn_protocol() == "h2" else http1)(stream)
    except (OSError, EOFError):
        print("gone", flush=True)


def watch():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=watch, daemon=True).start()
while True:
    client, _ = listener.accept()
    threading.Thread(target=serve, args=(client,), daemon=True).start()
