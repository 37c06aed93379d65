"""Checks an exported repository with four Python libraries that share no code with each other's tree.

`atproto` (libipld) reads the CAR and its crypto checks the commit; `carbox` reads it strictly, hash by hash; `atmst` walks
the tree and builds it anew; `arroba` checks the commit and builds the tree with code of its own.
"""

import io

import arroba.mst
import arroba.storage
import arroba.util
import carbox
import dag_cbor
from atmst.all import MemoryBlockStore, NodeStore, NodeWalker, NodeWrangler, ReadOnlyCARBlockStore
from atmst.mst.node import MSTNode
from atproto import CAR
from atproto_crypto.did import parse_did_key
from atproto_crypto.verify import verify_signature
from cbrrr import decode_dag_cbor, encode_dag_cbor
from cryptography.hazmat.primitives.asymmetric import ec


class BadRepo(Exception):
    """The export is not what it should be."""


def verify_car(car: bytes, did: str, did_key: str) -> dict[str, str]:
    """Verifies a full export. Answers the CID of each record by `collection/rkey`."""
    blocks = strict_blocks(car)
    sdk_head = CAR.from_bytes(car).root.encode()
    store = ReadOnlyCARBlockStore(io.BytesIO(car))
    head = store.car_root
    if head.encode() != sdk_head:
        raise BadRepo('two readers see different roots')
    commit = decode_dag_cbor(store.get_block(bytes(head)))
    if commit['did'] != did or commit['version'] != 3 or commit['prev'] is not None:
        raise BadRepo(f'not a commit of this account: {commit}')
    verify_commit(commit, blocks[head.encode()], did_key)

    nodes = NodeStore(store)
    records = {path: cid for path, cid in NodeWalker(nodes, commit['data'], trusted=False).iter_kv()}
    for path, cid in records.items():
        if cid.encode() not in blocks:
            raise BadRepo(f'the record {path} is missing')
    if rebuild_with_atmst(records) != commit['data']:
        raise BadRepo('not the canonical tree (atmst)')
    names = {path: cid.encode() for path, cid in records.items()}
    if rebuild_with_arroba(names) != commit['data'].encode():
        raise BadRepo('not the canonical tree (arroba)')
    return names


def strict_blocks(car: bytes) -> dict[str, bytes]:
    """Every block by CID, each hash checked by carbox, each block decoded strictly."""
    _, blocks = carbox.read_car(car, validate=True)
    for block in blocks:
        dag_cbor.decode(block.data)
    return {block.cid.set(base='base32').encode(): block.data for block in blocks}


def verify_commit(commit: dict, block: bytes, did_key: str) -> None:
    """The SDK's crypto and arroba's must both accept the signature."""
    unsigned = {name: value for name, value in commit.items() if name != 'sig'}
    if not verify_signature(did_key, encode_dag_cbor(unsigned), commit['sig']):
        raise BadRepo('the SDK refuses the signature')
    parsed = parse_did_key(did_key)
    curve = ec.SECP256K1() if parsed.jwt_alg == 'ES256K' else ec.SECP256R1()
    public_key = ec.EllipticCurvePublicKey.from_encoded_point(curve, parsed.key_bytes)
    if not arroba.util.verify_sig(dag_cbor.decode(block), public_key):
        raise BadRepo('arroba refuses the signature')


def rebuild_with_atmst(records: dict):
    """The root that atmst gives a tree with this content."""
    wrangler = NodeWrangler(NodeStore(MemoryBlockStore()))
    root = MSTNode.empty_root().cid
    wrangler.ns.stored_node(MSTNode.empty_root())
    for path, cid in records.items():
        root = wrangler.put_record(root, path, cid)
    return root


def rebuild_with_arroba(records: dict[str, str]) -> str:
    """The same by arroba."""
    tree = arroba.mst.MST.create(storage=arroba.storage.MemoryStorage())
    for path, cid in records.items():
        tree = tree.add(path, arroba.mst.CID.decode(cid))
    return tree.get_pointer().set(base='base32').encode()
