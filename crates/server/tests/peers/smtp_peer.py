"""A real SMTP server for tests: aiosmtpd with a handler that misbehaves on demand.

Speaks SMTP on five ports (plain; STARTTLS and AUTH demanded; the same with somebody on the way; TLS from the first byte and
AUTH; AUTH offered in the clear) and HTTP on a sixth, where tests script the next replies and read back what arrived, parsed by Python's `email`. Prints its
ports as one line of JSON, and ends when its standard input does, so that no test leaves it behind.
"""

import argparse
import asyncio
import email
import email.policy
import json
import logging
import ssl
import sys
import warnings

try:
    from aiosmtpd.smtp import SMTP, AuthResult
except ImportError:
    sys.exit("smtp_peer.py needs aiosmtpd: pip install aiosmtpd==1.4.6, or set ORDERMILL_TEST_PYTHON to a Python that has it")

USER, PASSWORD = b"shop@example.com", b"p:/@ss"


class Peer:
    """What arrived, and what is scripted for what comes."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.messages, self.auth, self.connections, self.script = [], [], 0, []

    def scripted(self, at):
        """The first script for this step, used up."""
        for index, entry in enumerate(self.script):
            if entry["at"] == at:
                return self.script.pop(index)
        return None

    async def step(self, at, server, otherwise):
        """Does what is scripted for a step: a reply of its own, silence, or a cut connection."""
        entry = self.scripted(at)
        if entry is None:
            return await otherwise()
        if entry["do"] == "reply":
            return entry["reply"]
        if entry["do"] == "hang":
            await asyncio.sleep(3600)
        if entry["do"] == "store_then_drop":
            await otherwise()
        server.transport.abort()
        return "421 dropped"

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        async def accept():
            envelope.mail_from = address
            envelope.mail_options.extend(options)
            return "250 2.1.0 OK"

        return await self.step("mail", server, accept)

    async def handle_RCPT(self, server, session, envelope, address, options):
        async def accept():
            envelope.rcpt_tos.append(address)
            return "250 2.1.5 OK"

        return await self.step("rcpt", server, accept)

    async def handle_DATA(self, server, session, envelope):
        async def accept():
            self.messages.append(
                {
                    "from": envelope.mail_from,
                    "to": envelope.rcpt_tos,
                    "tls": is_tls(server),
                    "user": session.auth_data.login.decode() if session.auth_data else "",
                    **parsed(envelope.original_content),
                }
            )
            return f"250 2.0.0 OK queued as {len(self.messages)}"

        return await self.step("end", server, accept)

    def authenticate(self, server, session, envelope, mechanism, data):
        self.auth.append({"mechanism": mechanism, "tls": is_tls(server)})
        return AuthResult(success=(data.login, data.password) == (USER, PASSWORD), handled=False, auth_data=data)


class Injected(SMTP):
    """STARTTLS as somebody on the way would have it: behind the reply, in the clear, the replies to all that follows."""

    async def push(self, status):
        if status == "220 Ready to start TLS":
            replies = [status, "250 AUTH PLAIN LOGIN", "235 welcome", "250 sender", "250 recipient", "354 go on", "250 taken"]
            status = "\r\n".join(replies)
        await super().push(status)


def is_tls(server):
    return server.transport.get_extra_info("ssl_object") is not None


def parsed(raw):
    """The mail as Python's parser reads it, with everything that it finds odd."""
    mail = email.message_from_bytes(raw, policy=email.policy.SMTP)
    parts = [part for part in mail.walk() if not part.is_multipart()]
    defects = [str(defect) for part in mail.walk() for defect in part.defects]
    defects += [str(defect) for value in mail.values() for defect in value.defects]
    return {
        "headers": [[name, str(value)] for name, value in mail.items()],
        "subject": str(mail["subject"]),
        "toAddresses": [[box.display_name, box.addr_spec] for box in mail["to"].addresses],
        "fromAddresses": [[box.display_name, box.addr_spec] for box in mail["from"].addresses],
        "parts": [{"type": part.get_content_type(), "text": part.get_content()} for part in parts],
        "defects": defects,
    }


async def serve_http(peer, reader, writer):
    """One request per connection: GET /state, POST /script, POST /reset."""
    request = await reader.readline()
    length = 0
    while (line := await reader.readline()).strip():
        name, _, value = line.decode().partition(":")
        if name.lower() == "content-length":
            length = int(value)
    body = await reader.readexactly(length)
    match request.decode().split()[:2]:
        case ["POST", "/script"]:
            peer.script.append(json.loads(body))
        case ["POST", "/reset"]:
            peer.reset()
    answer = json.dumps({"messages": peer.messages, "auth": peer.auth, "connections": peer.connections}).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
    await writer.drain()
    writer.close()


async def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--certificate", required=True)
    arguments.add_argument("--key", required=True)
    arguments = arguments.parse_args()
    # Unsafe ports and broken handshakes are what the tests are about.
    warnings.simplefilter("ignore")
    logging.disable()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(arguments.certificate, arguments.key)
    peer = Peer()
    loop = asyncio.get_running_loop()

    def smtp(kind=SMTP, **options):
        return lambda: kind(peer, hostname="peer.test", loop=loop, authenticator=peer.authenticate, **options)

    servers = {
        "plain": await loop.create_server(smtp(auth_exclude_mechanism=["LOGIN", "PLAIN"]), "127.0.0.1", 0),
        "starttls": await loop.create_server(smtp(tls_context=tls, require_starttls=True, auth_required=True), "127.0.0.1", 0),
        "injected": await loop.create_server(smtp(Injected, tls_context=tls, require_starttls=True), "127.0.0.1", 0),
        # TLS lies below the protocol here, so the protocol itself need not ask for it.
        "smtps": await loop.create_server(smtp(auth_required=True, auth_require_tls=False), "127.0.0.1", 0, ssl=tls),
        "clearauth": await loop.create_server(smtp(auth_required=True, auth_require_tls=False), "127.0.0.1", 0),
        "http": await asyncio.start_server(lambda reader, writer: serve_http(peer, reader, writer), "127.0.0.1", 0),
    }
    print(json.dumps({name: server.sockets[0].getsockname()[1] for name, server in servers.items()}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
