"""Follows the firehose with the `atproto` SDK, and undoes its commits with two Python libraries.

`atmst` and `arroba` each put the operations of a commit back on the nodes that came with it, and must arrive at the tree
before it.
"""

import io
import threading
from collections.abc import Callable

import arroba.mst
import arroba.storage
from atmst.all import MemoryBlockStore, NodeStore, NodeWrangler, ReadOnlyCARBlockStore
from atmst.mst.node import MSTNode
from atproto import CAR, FirehoseSubscribeReposClient, models, parse_subscribe_repos_message
from cbrrr import CID, decode_dag_cbor
from verify import BadRepo, strict_blocks, verify_commit


class Follower(threading.Thread):
    """Keeps the events of the SDK's client, in order, until one comes of which `is_last` holds."""

    def __init__(self, origin: str, is_last: Callable, cursor: int | None = None) -> None:
        super().__init__(daemon=True)
        uri = origin.replace('http', 'ws', 1) + '/xrpc'
        params = None if cursor is None else {'cursor': cursor}
        self.client = FirehoseSubscribeReposClient(params=params, base_uri=uri)
        self.is_last = is_last
        self.events: list = []
        self.errors: list = []
        self.arrival = threading.Condition()

    def run(self) -> None:
        try:
            self.client.start(self.take, self.errors.append)
        except Exception as error:
            self.errors.append(error)

    def take(self, frame) -> None:
        event = parse_subscribe_repos_message(frame)
        with self.arrival:
            self.events.append(event)
            self.arrival.notify_all()
        if self.is_last(event):
            self.client.stop()

    def has_seen(self, holds: Callable, seconds: float) -> bool:
        """Waits until an event has come of which `holds` is true, or the time is up."""
        with self.arrival:
            return self.arrival.wait_for(lambda: any(map(holds, self.events)), seconds)


def check_commit(event: models.ComAtprotoSyncSubscribeRepos.Commit, did_key: str, before: str | None) -> str:
    """Checks one commit on a tree whose root was `before`. Answers the root after it."""
    blocks = strict_blocks(event.blocks)
    read = CAR.from_bytes(event.blocks)
    if read.root.encode() != event.commit.encode() or set(map(str, blocks)) != {cid.encode() for cid in read.blocks}:
        raise BadRepo('two readers see different CARs')
    store = ReadOnlyCARBlockStore(io.BytesIO(event.blocks))
    commit = decode_dag_cbor(store.get_block(bytes(store.car_root)))
    if (commit['did'], commit['rev'], commit['version']) != (event.repo, event.rev, 3):
        raise BadRepo(f'not the commit of this event: {commit}')
    verify_commit(commit, blocks[event.commit.encode()], did_key)
    for op in event.ops:
        if op.cid is not None and op.cid.encode() not in blocks:
            raise BadRepo(f'the record {op.path} is missing')
    after = commit['data'].encode()
    expected = before or MSTNode.empty_root().cid.encode()
    if invert_with_atmst(event, blocks, after) != expected:
        raise BadRepo('inversion misses the tree before (atmst)')
    if invert_with_arroba(event, blocks, after) != expected:
        raise BadRepo('inversion misses the tree before (arroba)')
    return after


def invert_with_atmst(event, blocks: dict[str, bytes], root: str) -> str:
    store = MemoryBlockStore()
    for name, block in blocks.items():
        store.put_block(bytes(CID.decode(name)), block)
    wrangler = NodeWrangler(NodeStore(store))
    at = CID.decode(root)
    for op in reversed(event.ops):
        if op.prev is None:
            at = wrangler.del_record(at, op.path)
        else:
            at = wrangler.put_record(at, op.path, CID.decode(op.prev.encode()))
    return at.encode()


def invert_with_arroba(event, blocks: dict[str, bytes], root: str) -> str:
    storage = arroba.storage.MemoryStorage()
    storage.write_blocks(
        arroba.storage.Block(cid=arroba.mst.CID.decode(name), encoded=block) for name, block in blocks.items()
    )
    tree = arroba.mst.MST.load(storage=storage, cid=arroba.mst.CID.decode(root))
    for op in reversed(event.ops):
        if op.action == 'create':
            tree = tree.delete(op.path)
        elif op.action == 'update':
            tree = tree.update(op.path, arroba.mst.CID.decode(op.prev.encode()))
        else:
            tree = tree.add(op.path, arroba.mst.CID.decode(op.prev.encode()))
    return tree.get_pointer().set(base='base32').encode()
