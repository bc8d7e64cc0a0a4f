#!/usr/bin/env python3
"""A node in Python, written from the wire contract and sharing nothing with the product.

Enrolls with a code, waits for the confirmation, opens what is sealed to it, shakes hands, sends one heartbeat.

usage: wire_client.py URL CODE_FILE NAME      prints one JSON object per step
"""

import base64
import hashlib
import json
import os
import socket
import ssl
import struct
import sys
import time
import urllib.parse

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509 import load_der_x509_certificate

GATEWAY = "gatehouse.gateway.v1.NodeGatewayService"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def b64u(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64u(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def encode(field):
    if isinstance(field, list):
        return signed_tuple(*field)
    if isinstance(field, int):
        return struct.pack(">Q", field)
    return field.encode() if isinstance(field, str) else field


def signed_tuple(*fields):
    return b"".join(struct.pack(">I", len(part)) + part for part in map(encode, fields))


def fingerprint(digest):
    bits = int.from_bytes(digest, "big") >> (256 - 100)
    text = "".join(CROCKFORD[(bits >> (95 - 5 * at)) & 31] for at in range(20))
    return "-".join(text[at : at + 5] for at in range(0, 20, 5))


class Connection:
    """One TLS connection that speaks HTTP/1.1; whoever opens it checks the peer by its key."""

    def __init__(self, origin):
        self.origin = origin
        url = urllib.parse.urlsplit(origin)
        context = ssl._create_unverified_context()
        self.socket = context.wrap_socket(socket.create_connection((url.hostname, url.port)), server_hostname=url.hostname)
        self.reader = self.socket.makefile("rb")
        leaf = load_der_x509_certificate(self.socket.getpeercert(binary_form=True))
        spki = leaf.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.spki_sha256 = sha256(spki)

    def request(self, method, path, headers=None, body=b""):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {urllib.parse.urlsplit(self.origin).netloc}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        lines += [f"Content-Length: {len(body)}", "", ""]
        self.socket.sendall("\r\n".join(lines).encode() + body)
        status = int(self.reader.readline().split()[1])
        answer = {}
        for line in iter(self.reader.readline, b"\r\n"):
            name, _, value = line.decode().partition(":")
            answer[name.strip().lower()] = value.strip()
        return status, answer

    def body(self, answer):
        return b"".join(self.pieces(answer))

    def pieces(self, answer):
        if "content-length" in answer:
            yield self.reader.read(int(answer["content-length"]))
            return
        while size := int(self.reader.readline(), 16):
            yield self.reader.read(size)
            self.reader.readline()
        self.reader.readline()

    def unary(self, method, message, headers=None):
        own = {"Content-Type": "application/json", "Connect-Protocol-Version": "1", **(headers or {})}
        status, answer = self.request("POST", f"/{GATEWAY}/{method}", own, json.dumps(message).encode())
        return status, answer, json.loads(self.body(answer) or b"{}")

    def stream(self, method, message):
        """The messages of a server stream (Connect's envelopes: a flag byte, a u32 length, JSON)."""
        text = json.dumps(message).encode()
        own = {"Content-Type": "application/connect+json", "Connect-Protocol-Version": "1"}
        _, answer = self.request("POST", f"/{GATEWAY}/{method}", own, struct.pack(">BI", 0, len(text)) + text)
        held = b""
        for piece in self.pieces(answer):
            held += piece
            while len(held) >= 5 and len(held) >= 5 + struct.unpack(">I", held[1:5])[0]:
                flag, size = struct.unpack(">BI", held[:5])
                message, held = json.loads(held[5 : 5 + size]), held[5 + size :]
                if flag & 2:
                    return
                yield message


def b64(data):
    return base64.b64encode(data).decode()


def check_server(connection, pin):
    """Proves the server by the code's pin, on the connection that then carries the code."""
    nonce = b64u(os.urandom(24))
    _, answer = connection.request("GET", f"/.well-known/gatehouse?nonce={nonce}&pin={pin}")
    known = json.loads(connection.body(answer))
    identity, org_key = unb64u(known["server_identity_key"]), unb64u(known["org_key"])
    pinned = sha256(signed_tuple("gatehouse/pin/v1", identity, known["org_id"], org_key))[:16]
    assert b64u(pinned) == pin, "another server's keys"
    assert known["origin"] == connection.origin and known["nonce"] == nonce
    assert unb64u(known["tls_spki_sha256"]) == connection.spki_sha256, "somebody stands between"
    keys = known["key_set"]
    listed = [[key["use"], key["id"], unb64u(key["key"])] for key in keys["keys"]]
    of_set = signed_tuple("gatehouse/key-set/v1", identity, keys["epoch"], keys["issued_at"], listed)
    ed25519.Ed25519PublicKey.from_public_bytes(identity).verify(unb64u(keys["signature"]), of_set)
    channel = next(unb64u(key["key"]) for key in keys["keys"] if key["use"] == "channel")
    of_answer = signed_tuple(
        "gatehouse/well-known/v1", known["origin"], nonce, known["server_time"], known["org_id"], identity, org_key,
        connection.spki_sha256,
    )
    ed25519.Ed25519PublicKey.from_public_bytes(channel).verify(unb64u(known["signature"]), of_answer)
    return identity, known["org_id"], org_key, known["server_time"]


def open_sealed(jwe, key, aad):
    """JWE in flattened JSON: ECDH-ES (RFC 7518 §4.6) with A256GCM."""
    header = json.loads(unb64u(jwe["protected"]))
    assert header["alg"] == "ECDH-ES" and header["enc"] == "A256GCM" and unb64u(jwe["aad"]) == aad
    shared = key.exchange(x25519.X25519PublicKey.from_public_bytes(unb64u(header["epk"]["x"])))
    other = struct.pack(">I", 7) + b"A256GCM" + struct.pack(">I", 0) * 2 + struct.pack(">I", 256)
    content_key = sha256(struct.pack(">I", 1), shared, other)
    bound = f"{jwe['protected']}.{jwe['aad']}".encode()
    return AESGCM(content_key).decrypt(unb64u(jwe["iv"]), unb64u(jwe["ciphertext"]) + unb64u(jwe["tag"]), bound)


def proof(identity, token, url, nonce):
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64u(raw(identity.public_key()))}
    claims = {"jti": b64u(os.urandom(16)), "htm": "POST", "htu": url, "iat": int(time.time()), "nonce": nonce,
              "ath": b64u(sha256(token.encode()))}
    head = {"alg": "EdDSA", "typ": "dpop+jwt", "jwk": jwk}
    signed = ".".join(b64u(json.dumps(part).encode()) for part in (head, claims))
    return f"{signed}.{b64u(identity.sign(signed.encode()))}"


def raw(key):
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def say(**step):
    print(json.dumps(step), flush=True)


def main(origin, code_file, name):
    code = open(code_file, encoding="utf-8").read().strip()
    secret, pin = code.removeprefix("ghe_").split(".")
    identity, encryption = ed25519.Ed25519PrivateKey.generate(), x25519.X25519PrivateKey.generate()
    ca = ec.generate_private_key(ec.SECP256R1())
    public = {
        "identity": raw(identity.public_key()),
        "encryption": raw(encryption.public_key()),
        "ca": ca.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
    }
    connection = Connection(origin)
    server_key, org_id, org_key, server_time = check_server(connection, pin)
    claim = signed_tuple("gatehouse/enroll/v1", server_key, org_id, org_key, sha256(unb64u(secret)), name, *public.values())
    status, _, registered = connection.unary("Register", {
        "enrollmentToken": code, "name": name, "identityPublicKey": b64(public["identity"]),
        "encryptionPublicKey": b64(public["encryption"]), "caPublicKey": b64(public["ca"]),
        "proof": b64(identity.sign(claim)),
    })
    assert status == 200, registered
    say(state="awaiting_confirmation", node_id=registered["nodeId"], fingerprint=fingerprint(sha256(claim)))

    asked = signed_tuple("gatehouse/await/v1", origin, registered["enrollmentId"], sha256(claim), server_time)
    wait = {"enrollmentId": registered["enrollmentId"], "signedAt": str(server_time), "signature": b64(identity.sign(asked))}
    sealed = next(m["sealed"] for m in connection.stream("AwaitConfirmation", wait) if m.get("sealed"))
    opened = json.loads(open_sealed(json.loads(sealed), encryption, sha256(claim)))
    assert opened["node_id"] == registered["nodeId"]
    say(state="confirmed")

    connection = Connection(origin)
    client_nonce = os.urandom(32)
    _, _, begun = connection.unary("BeginAuthHandshake", {
        "apiKey": opened["api_key"], "identityPublicKey": b64(public["identity"]), "clientNonce": b64(client_nonce),
    })
    challenge, server_nonce = base64.b64decode(begun["challenge"]), base64.b64decode(begun["serverNonce"])
    shake = signed_tuple("gatehouse/handshake/v1", origin, server_key, challenge, client_nonce, server_nonce,
                         registered["nodeId"], public["identity"])
    status, _, session = connection.unary("CompleteAuthHandshake", {
        "challenge": begun["challenge"], "signature": b64(identity.sign(shake)),
    })
    assert status == 200, session
    token, url = session["sessionToken"], f"{origin}/{GATEWAY}/UploadHeartbeat"
    beat = {"heartbeat": {"sentAt": str(server_time), "health": "HEALTH_OK", "runCount": 0, "spoolDepth": "0",
                          "bundleGeneration": "0"}}
    nonce = ""
    for _ in range(2):
        headers = {"Authorization": f"DPoP {token}", "DPoP": proof(identity, token, url, nonce)}
        status, answer, heard = connection.unary("UploadHeartbeat", beat, headers)
        nonce = answer.get("dpop-nonce", "")
    assert status == 200 and int(heard["answer"]["receivedAt"]) > 0, heard
    say(state="online", generation=int(heard["answer"].get("bundleGeneration", "0")))


if __name__ == "__main__":
    main(*sys.argv[1:])
