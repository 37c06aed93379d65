"""The PyPI `atproto` SDK enrolls, writes, reads and lists; Python libraries verify what is exported."""

import os
import time
import unittest

from atproto import Client, DidDocument, IdResolver
from atproto_client.exceptions import BadRequestError, UnauthorizedError
from verify import verify_car
from wm import Agent, SigningRequest

ORIGIN = os.environ['ROOKERY_URL'].rstrip('/')
POST = 'com.example.post'
NOTE = 'com.example.two.note'


class SdkTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.mat = Agent(ORIGIN).enroll(f'python-{os.getpid()}-{time.time_ns() % 10**12}')
        cls.did = cls.mat.did
        cls.agent = client(cls.mat)
        cls.reader = client(None)

    def document(self) -> DidDocument:
        return IdResolver(plc_url=ORIGIN).did.resolve(self.did, force_refresh=True)

    def export(self) -> bytes:
        return self.reader.com.atproto.sync.get_repo({'did': self.did})

    def write(self, collection: str, rkey: str, **fields):
        record = {'$type': collection, **fields}
        data = {'repo': self.did, 'collection': collection, 'rkey': rkey, 'record': record}
        return self.agent.com.atproto.repo.put_record(data)

    def test_the_did_document_names_the_handle_the_server_and_the_key(self) -> None:
        document = self.document()
        self.assertEqual(document.get_handle(), self.mat.handle)
        self.assertTrue(document.get_pds_endpoint().startswith('http'))
        self.assertTrue(document.get_did_key().startswith('did:key:z'))

    def test_a_handle_resolves(self) -> None:
        answer = self.reader.com.atproto.identity.resolve_handle({'handle': self.mat.handle})
        self.assertEqual(answer.did, self.did)

    def test_the_server_describes_itself(self) -> None:
        answer = self.reader.com.atproto.server.describe_server()
        self.assertTrue(answer.did.startswith('did:web:'))

    def test_a_record_is_written_read_listed_and_deleted(self) -> None:
        created = self.agent.com.atproto.repo.create_record(
            {'repo': self.did, 'collection': POST, 'record': {'$type': POST, 'text': 'from Python 🐍'}}
        )
        rkey = created.uri.rsplit('/', 1)[1]
        where = {'repo': self.mat.handle, 'collection': POST, 'rkey': rkey}
        got = self.reader.com.atproto.repo.get_record(where)
        self.assertEqual(got.cid, created.cid)
        self.assertEqual(got.value['text'], 'from Python 🐍')
        listed = self.reader.com.atproto.repo.list_records({'repo': self.did, 'collection': POST, 'limit': 100})
        self.assertIn(created.uri, [record.uri for record in listed.records])
        self.agent.com.atproto.repo.delete_record({'repo': self.did, 'collection': POST, 'rkey': rkey})
        with self.assertRaises(BadRequestError) as caught:
            self.reader.com.atproto.repo.get_record(where)
        self.assertEqual(caught.exception.response.content.error, 'RecordNotFound')

    def test_a_collection_is_paged_through(self) -> None:
        for n in range(9):
            self.write(NOTE, f'n{n}', n=n)
        seen, cursor = [], None
        while True:
            page = self.reader.com.atproto.repo.list_records(
                {'repo': self.did, 'collection': NOTE, 'limit': 4, 'cursor': cursor, 'reverse': True}
            )
            seen += [record.value['n'] for record in page.records]
            cursor = page.cursor
            if not cursor:
                break
        self.assertEqual(seen, list(range(9)))

    def test_the_export_verifies_and_holds_what_was_written(self) -> None:
        expected = {f'{POST}/v{n}': self.write(POST, f'v{n}', n=n, text='x' * n).cid for n in range(40)}
        records = verify_car(self.export(), self.did, self.document().get_did_key())
        self.assertLessEqual(expected.items(), records.items())
        latest = self.reader.com.atproto.sync.get_latest_commit({'did': self.did})
        self.assertTrue(latest.rev)

    def test_an_export_that_was_tampered_with_does_not_verify(self) -> None:
        self.write(POST, 'tampered', n=1)
        car, key = self.export(), self.document().get_did_key()
        verify_car(car, self.did, key)
        for tenth in range(1, 10):
            changed = bytearray(car)
            changed[len(car) * tenth // 10] ^= 1
            with self.assertRaises(Exception, msg=f'tenth {tenth}'):
                verify_car(bytes(changed), self.did, key)

    def test_a_write_without_a_key_is_refused(self) -> None:
        with self.assertRaises(UnauthorizedError):
            self.reader.com.atproto.repo.create_record(
                {'repo': self.did, 'collection': POST, 'record': {'$type': POST}}
            )


def client(mat: Agent | None) -> Client:
    """An SDK client of the server under test. `Client` makes its own request object, so it is handed ours afterwards."""
    made = Client(ORIGIN)
    made._request = SigningRequest(mat, timeout=60)
    return made


if __name__ == '__main__':
    unittest.main(verbosity=2)
