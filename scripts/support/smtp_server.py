#!/usr/bin/python3
"""A real SMTP server on loopback for development and tests.

STARTTLS and AUTH are required. Every accepted message becomes one line of JSON in the mailbox file, written before
the reply, so a message that was answered 250 can be read back. A second port speaks TLS from the first byte.

The local part of a recipient scripts what happens to it:

    busy-451@   refused-550@   any word and a 4yz or 5yz code: RCPT is answered with that code
    once-451@                  RCPT is refused with the code the first time, accepted afterwards
    data-451@   data-552@      RCPT is accepted, the reply after the final dot is that code
    slow-1500ms@               the reply after the final dot is delayed
    lost@       lost-once@     the message is stored, then the connection is cut without a reply
"""

import argparse
import asyncio
import datetime
import email
import email.policy
import json
import logging
import re
import signal
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

REFUSAL = re.compile(r"^(?P<when>[a-z]+)-(?P<code>[45]\d\d)@")
DELAY = re.compile(r"^slow-(?P<ms>\d{1,5})ms@")
TEXT = {"4": "scripted transient failure", "5": "scripted permanent failure"}


def refusal(code):
    """A reply line for a scripted code, with the enhanced status code of the same class."""
    return f"{code} {code[0]}.3.0 {TEXT[code[0]]}"


class Mailbox:
    """Stores accepted messages and plays the scripted failures."""

    def __init__(self, path):
        self.path = path
        self.seen = set()

    def first_time(self, key):
        if key in self.seen:
            return False
        self.seen.add(key)
        return True

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        scripted = REFUSAL.match(address.lower())
        if scripted and scripted["when"] != "data":
            if scripted["when"] != "once" or self.first_time(address.lower()):
                return refusal(scripted["code"])
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(rcpt_options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        recipients = [address.lower() for address in envelope.rcpt_tos]
        for address in recipients:
            scripted = REFUSAL.match(address)
            if scripted and scripted["when"] == "data":
                return refusal(scripted["code"])
        for address in recipients:
            delay = DELAY.match(address)
            if delay:
                await asyncio.sleep(int(delay["ms"]) / 1000)
        self.store(session, envelope)
        for address in recipients:
            if address.startswith("lost@") or (address.startswith("lost-once@") and self.first_time(address)):
                server.transport.abort()
                return "421 4.4.2 connection lost"
        return "250 2.0.0 stored"

    async def handle_exception(self, error):
        print(f"{type(error).__name__}: {error.__cause__ or error}", flush=True)
        return "451 4.3.0 internal error"

    def store(self, session, envelope):
        parsed = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        line = {
            "accepted_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds"),
            "mail_from": envelope.mail_from,
            "rcpt_tos": envelope.rcpt_tos,
            "message_id": header(parsed, "Message-ID"),
            "subject": header(parsed, "Subject"),
            "helo": session.host_name,
            "authenticated": bool(session.authenticated),
            "size": len(envelope.original_content),
            "data": envelope.original_content.decode("utf-8", "replace"),
        }
        with open(self.path, "a", encoding="utf-8") as mailbox:
            mailbox.write(json.dumps(line) + "\n")


def header(message, name):
    """A decoded header, or null: a message that cannot be parsed is still a message."""
    try:
        value = message[name]
    except (ValueError, IndexError, KeyError, AttributeError):
        return None
    return None if value is None else str(value)


def authenticator(user, password):
    def check(server, session, envelope, mechanism, data):
        good = (
            isinstance(data, LoginPassword)
            and data.login == user.encode()
            and data.password == password.encode()
        )
        return AuthResult(success=good, handled=good)

    return check


async def serve(options):
    # aiosmtpd warns about the implicit-TLS listener (see below) and its own deprecations on every session.
    warnings.simplefilter("ignore", UserWarning)
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    with open(options.password_file, encoding="utf-8") as f:
        password = f.read().strip()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(options.certificate, options.key)
    mailbox = Mailbox(options.mailbox)
    shared = {
        "hostname": "localhost",
        "ident": "neff development mail",
        "enable_SMTPUTF8": True,
        "data_size_limit": 10 * 1024 * 1024,
        "auth_required": True,
        "authenticator": authenticator(options.user, password),
    }

    def upgraded():
        return SMTP(mailbox, tls_context=context, require_starttls=True, **shared)

    def implicit():
        # The transport is TLS already, which aiosmtpd cannot see: it knows only its own STARTTLS.
        return SMTP(mailbox, auth_require_tls=False, **shared)

    # Whoever reads the mailbox before the first mail finds it empty, not missing.
    with open(options.mailbox, "a", encoding="utf-8"):
        pass
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # 127.0.0.2 is the wrong name: it is not in the certificate.
    addresses = ["127.0.0.1", "127.0.0.2"]
    await loop.create_server(upgraded, addresses, options.port)
    await loop.create_server(implicit, addresses, options.implicit_tls_port, ssl=context)
    await stop.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--implicit-tls-port", type=int, required=True)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password-file", required=True)
    parser.add_argument("--mailbox", required=True)
    asyncio.run(serve(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
