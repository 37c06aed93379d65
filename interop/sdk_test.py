"""The PyPI `atproto` SDK enrolls, writes, reads and lists; Python libraries verify what is exported."""

import os
import time
import unittest

from atproto import Client, DidDocument, IdResolver
from atproto_client.exceptions import BadRequestError, UnauthorizedError
from firehose import Follower, check_commit
from verify import verify_car
from wm import Agent, SigningRequest

ORIGIN = os.environ['ROOKERY_URL'].rstrip('/')
POST = 'com.example.post'
NOTE = 'com.example.two.note'


class SdkTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.mat = Agent(ORIGIN).enroll(unique('python'))
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


class FirehoseTest(unittest.TestCase):
    """What the SDK's client reads live and from the beginning."""

    def setUp(self) -> None:
        self.end = unique('end')

    def follow(self, cursor: int | None = None) -> Follower:
        follower = Follower(ORIGIN, lambda event: (getattr(event, 'handle', None) or '').startswith(self.end), cursor)
        follower.start()
        return follower

    def live(self) -> Follower:
        """A follower that is connected: it has seen something."""
        follower = self.follow()
        for _ in range(60):
            did = Agent(ORIGIN).enroll(unique('probe')).did
            if follower.has_seen(lambda event: getattr(event, 'did', None) == did, 0.5):
                return follower
        self.fail(f'nothing came: {follower.errors}')

    def finish(self, follower: Follower) -> list:
        follower.join(120)
        self.assertEqual(follower.errors, [])
        self.assertFalse(follower.is_alive(), 'the end did not come')
        return follower.events

    def test_commits_are_read_in_order_and_verify_live_and_from_the_beginning(self) -> None:
        follower = self.live()
        mat = Agent(ORIGIN).enroll(unique('python'))
        expected = self.write_everything(mat)
        Agent(ORIGIN).enroll(self.end)
        live = self.finish(follower)

        own = [event for event in live if mat.did in (getattr(event, 'repo', None), getattr(event, 'did', None))]
        kinds = [event.py_type.rsplit('#', 1)[1] for event in own]
        self.assertEqual(kinds[:4], ['identity', 'account', 'commit', 'sync'])
        commits = [event for event in own if event.py_type.endswith('#commit')]
        self.assertEqual(len(commits), len(kinds) - 3)

        key = IdResolver(plc_url=ORIGIN).did.resolve(mat.did, force_refresh=True).get_did_key()
        rev, data, records, told = None, None, {}, []
        for event in commits:
            self.assertEqual((event.since, event.prev_data and event.prev_data.encode()), (rev, data))
            for op in event.ops:
                self.assertEqual(op.prev and op.prev.encode(), records.pop(op.path, None), op.path)
                if op.cid:
                    records[op.path] = op.cid.encode()
            data, rev = check_commit(event, key, data), event.rev
            told.append((rev, {(op.action, op.path) for op in event.ops}))
        self.assertEqual(told[1:], expected)
        export = client(None).com.atproto.sync.get_repo({'did': mat.did})
        self.assertEqual(verify_car(export, mat.did, key), records)

        replayed = self.finish(self.follow(cursor=0))
        seqs = [event.seq for event in replayed]
        self.assertEqual(seqs, sorted(set(seqs)))
        self.assertEqual([event for event in replayed if event.seq >= live[0].seq], live)

    def write_everything(self, mat: Agent) -> list:
        """Creates, updates, deletes and batches; revision and operations of each commit."""
        repo = client(mat).com.atproto.repo
        made = []

        def note(answer, *ops) -> None:
            made.append((answer.commit.rev, {(action, f'{POST}/{rkey}') for action, rkey in ops}))

        for n in range(12):
            data = {'repo': mat.did, 'collection': POST, 'rkey': f'p{n % 8}', 'record': {'$type': POST, 'n': n}}
            note(repo.put_record(data), ('create' if n < 8 else 'update', f'p{n % 8}'))
        note(repo.delete_record({'repo': mat.did, 'collection': POST, 'rkey': 'p3'}), ('delete', 'p3'))
        for action in ('create', 'delete'):
            writes = [
                {
                    '$type': f'com.atproto.repo.applyWrites#{action}',
                    'collection': POST,
                    'rkey': f'b{n}',
                    **({'value': {'$type': POST, 'n': n}} if action == 'create' else {}),
                }
                for n in range(200)
            ]
            note(repo.apply_writes({'repo': mat.did, 'writes': writes}), *((action, f'b{n}') for n in range(200)))
        return made


def unique(name: str) -> str:
    """A handle nobody has."""
    return f'{name}-{os.getpid()}-{time.time_ns() % 10**12}'


def client(mat: Agent | None) -> Client:
    """An SDK client of the server under test. `Client` makes its own request object, so it is handed ours afterwards."""
    made = Client(ORIGIN)
    made._request = SigningRequest(mat, timeout=60)
    return made


if __name__ == '__main__':
    unittest.main(verbosity=2)
