"""Reads a message on stdin and writes what a mail program would see as JSON: an independent reading of our bytes."""
import email
import email.policy
import json
import sys

raw = sys.stdin.buffer.read()
message = email.message_from_bytes(raw, policy=email.policy.default)
parts = []
for part in message.walk():
    entry = {"type": part.get_content_type(), "filename": part.get_filename()}
    if not part.is_multipart():
        entry["charset"] = part.get_content_charset()
        entry["method"] = part["Content-Type"].params.get("method")
        payload = part.get_payload(decode=True)
        entry["text"] = payload.decode("utf-8")
    parts.append(entry)
defects = [str(d) for part in message.walk() for d in part.defects]
defects += [str(d) for value in message.values() for d in getattr(value, "defects", [])]
names = [name for name, _ in message.items()]
json.dump(
    {
        "names": names,
        "subject": str(message["Subject"]),
        "from": [[a.display_name, a.addr_spec] for a in message["From"].addresses],
        "to": [[a.display_name, a.addr_spec] for a in message["To"].addresses],
        "date": message["Date"].datetime.isoformat(),
        "message_id": str(message["Message-ID"]),
        "parts": parts,
        "defects": defects,
        "longest_line": max(len(line) for line in raw.split(b"\r\n")),
        "bare_line_ends": raw.replace(b"\r\n", b"").count(b"\n") + raw.replace(b"\r\n", b"").count(b"\r"),
        "non_ascii": sum(byte > 126 for byte in raw),
    },
    sys.stdout,
)
