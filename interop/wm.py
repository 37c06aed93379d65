"""A WelcomeMat client on PyJWT, and the `atproto` SDK's request class with it inside."""

import base64
import hashlib
import json
import time
import uuid
from urllib.parse import urlsplit, urlunsplit

import httpx
import jwt
from atproto_client.request import Request
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


class Agent:
    """An agent with an ES256 key."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        canonical = {name: self.jwk[name] for name in ('crv', 'kty', 'x', 'y')}
        text = json.dumps(canonical, sort_keys=True, separators=(',', ':'))
        self.thumbprint = base64url(hashlib.sha256(text.encode()).digest())
        self.did = self.handle = self.token = None

    def proof(self, method: str, url: str, token: str | None = None) -> str:
        """A DPoP proof for one request."""
        parts = urlsplit(url)
        claims = {
            'jti': str(uuid.uuid4()),
            'htm': method,
            'htu': urlunsplit((parts.scheme, parts.netloc, parts.path, '', '')),
            'iat': int(time.time()),
        }
        if token is not None:
            claims['ath'] = base64url(hashlib.sha256(token.encode()).digest())
        jwk = {name: self.jwk[name] for name in ('crv', 'kty', 'x', 'y')}
        return jwt.encode(claims, self.key, algorithm='ES256', headers={'typ': 'dpop+jwt', 'jwk': jwk})

    def access_token(self, terms: bytes) -> str:
        """A token that consents to these terms."""
        claims = {
            'jti': str(uuid.uuid4()),
            'tos_hash': base64url(hashlib.sha256(terms).digest()),
            'aud': self.origin,
            'cnf': {'jkt': self.thumbprint},
            'iat': int(time.time()),
        }
        return jwt.encode(claims, self.key, algorithm='ES256', headers={'typ': 'wm+jwt'})

    def sign_bytes(self, data: bytes) -> str:
        """The signature form of JOSE: r and s, 32 bytes each."""
        r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(hashes.SHA256())))
        return base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))

    def enroll(self, handle: str) -> 'Agent':
        terms = httpx.get(f'{self.origin}/tos').content
        url = f'{self.origin}/api/signup'
        body = {
            'handle': handle,
            'tos_signature': self.sign_bytes(terms),
            'access_token': self.access_token(terms),
        }
        answer = httpx.post(url, json=body, headers={'DPoP': self.proof('POST', url)}, timeout=60)
        if answer.status_code != 200:
            raise RuntimeError(f'signup answered {answer.status_code}: {answer.text}')
        enrolled = answer.json()
        self.did, self.handle, self.token = enrolled['did'], enrolled['handle'], enrolled['access_token']
        return self


class SigningRequest(Request):
    """The SDK's HTTP layer; it signs what it sends when it is given an agent."""

    def __init__(self, agent: Agent | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.agent = agent

    def _send_request(self, method: str, url: str, **kwargs) -> httpx.Response:
        if self.agent:
            headers = dict(kwargs.pop('headers', None) or {})
            headers['Authorization'] = f'DPoP {self.agent.token}'
            headers['DPoP'] = self.agent.proof(method, url, self.agent.token)
            kwargs['headers'] = headers
        return super()._send_request(method, url, **kwargs)
