"""The fastest honest end of the latency measurement: an SMTP server that takes everything over TLS and notes when.

Usage: smtp_sink.py PORT CERTIFICATE KEY FILE. A line of FILE is the Unix time of a mail's final dot and its recipient."""

import asyncio
import ssl
import sys
import time


async def serve(reader, writer, file):
    recipient = ""

    def say(text):
        writer.write(text.encode() + b"\r\n")

    try:
        say("220 sink")
        while line := await reader.readline():
            command = line.decode("utf-8", "replace").strip()
            verb = command[:4].upper()
            if verb == "EHLO":
                say("250-sink\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-SIZE 10000000\r\n250 AUTH PLAIN LOGIN")
            elif verb == "AUTH" and len(command.split()) < 3:
                say("334 ")
                await reader.readline()
                say("235 in")
            elif verb == "AUTH":
                say("235 in")
            elif verb == "DATA":
                say("354 go on")
                await writer.drain()
                await reader.readuntil(b"\r\n.\r\n")
                file.write(f"{time.time():.6f} {recipient}\n")
                say("250 taken")
            elif verb == "QUIT":
                say("221 bye")
                break
            else:
                if verb == "RCPT":
                    recipient = command[command.find("<") + 1 : command.find(">")]
                say("250 fine")
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    writer.close()


async def main(port, certificate, key, path):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with open(path, "w", buffering=1, encoding="utf-8") as file:
        server = await asyncio.start_server(
            lambda reader, writer: serve(reader, writer, file), "127.0.0.1", port, ssl=context, limit=1 << 20)
        await server.serve_forever()


asyncio.run(main(int(sys.argv[1]), *sys.argv[2:5]))
